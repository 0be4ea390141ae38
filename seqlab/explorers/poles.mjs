// The pole playground: drag the poles s of x' = s x + u about the s-plane, choose how time is cut into steps of dt, and
// watch their images in the z-plane and the impulse response of x_k = A_bar x_{k-1} + B_bar u_k beside that of x'.
// A pole, its image and the samples' fate are marked alike in both planes.
//
// 1 mathematics (held to seqlab/ops/discretize by golden vectors) · 2 words · 3 plots · 4 planes · 5 page · 6 render
import {
  OUR_KEYS, Panel, Plot, choices, complex, decadeTicks, fromFormula, fromMiddle, fromPairs, joined, key, linearTicks, number, plural, slider,
  svgElement, toPairs, without,
} from "./panel.mjs";

// ---------------------------------------------------------------------------------------------------- 1 mathematics
// A set of complex numbers is {re, im}, as panel.mjs has it. Every pole has input weight 1, and the output is the mean of the real
// parts, so a pole off the real axis answers for its conjugate too.

const scaled = ({ re, im }, factor) => ({ re: re.map((x) => factor * x), im: im.map((y) => factor * y) });
const perEntry = ({ re, im }, map) => {
  const image = complex(re.length);
  for (let n = 0; n < re.length; n++) [image.re[n], image.im[n]] = map(re[n], im[n]);
  return image;
};
const quotient = (a, b, c, d) => [(a * c + b * d) / (c * c + d * d), (b * c - a * d) / (c * c + d * d)]; // (a+ib)/(c+id)
const exponential = (x, y) => [Math.exp(x) * Math.cos(y), Math.exp(x) * Math.sin(y)];

// (e^z - 1)/z without cancellation: e^{iy} - 1 = -2 sin²(y/2) + i sin y.
function phi1(x, y) {
  if (x === 0 && y === 0) return [1, 0];
  const grown = Math.exp(x);
  return quotient(Math.expm1(x) - 2 * grown * Math.sin(y / 2) ** 2, grown * Math.sin(y), x, y);
}

// Where z = s dt goes, and what a unit of input held for one step adds, over dt.
const METHOD = {
  euler: { image: (x, y) => [1 + x, y], gain: () => [1, 0] },
  backward_euler: { image: (x, y) => quotient(1, 0, 1 - x, -y), gain: (x, y) => quotient(1, 0, 1 - x, -y) },
  bilinear: { image: (x, y) => quotient(1 + x / 2, y / 2, 1 - x / 2, -y / 2), gain: (x, y) => quotient(1, 0, 1 - x / 2, -y / 2) },
  zoh: { image: exponential, gain: phi1 },
};

// A_bar and B_bar (for B = 1) of each pole.
const images = (poles, dt, method) => perEntry(scaled(poles, dt), METHOD[method].image);
const gains = (poles, dt, method) => scaled(perEntry(scaled(poles, dt), METHOD[method].gain), dt);

// (1/N) Σ Re w_n r_n^i, i = 0 .. count - 1.
function meanOfPowers(weights, ratios, count) {
  const mean = new Float64Array(count);
  const size = ratios.re.length;
  for (let n = 0; n < size; n++) {
    const [c, d] = [ratios.re[n], ratios.im[n]];
    let [x, y] = [weights.re[n] / size, weights.im[n] / size];
    for (let i = 0; i < count; i++) {
      mean[i] += x;
      const turned = x * c - y * d;
      y = x * d + y * c;
      x = turned;
    }
  }
  return mean;
}

// (x + iy)^j for whole j >= 0.
const power = (x, y, j) => (j === 0 ? [1, 0] : exponential(j * Math.log(Math.hypot(x, y)), j * Math.atan2(y, x)));

// (1/N) Σ Re e^{s_n t} at count times, the first at `start` and each `spacing` after the one before.
const continuousResponse = (poles, start, spacing, count) =>
  meanOfPowers(perEntry(scaled(poles, start), exponential), perEntry(scaled(poles, spacing), exponential), count);

// What one sample of height 1/dt, an impulse of area 1, leaves `stride` j steps later, j = 0 .. count - 1:
// (1/N) Σ Re A_bar^(stride j) B_bar / dt. To second order it is the continuous response at the middle of that step.
const sampledResponse = (poles, dt, method, stride, count) =>
  meanOfPowers(
    scaled(gains(poles, dt, method), 1 / dt),
    perEntry(images(poles, dt, method), (x, y) => power(x, y, stride)),
    count,
  );

// The largest error of one pole's sampled response at the middles of the steps up to `duration`, over the largest value of the
// continuous one, for each step in dts. Of many steps 32 are looked at, from the first to the last.
function errorAgainstStep(x, y, duration, method, dts) {
  const peak = Math.max(1, Math.exp(x * duration));
  return Float64Array.from(dts, (dt) => {
    const image = METHOD[method].image(x * dt, y * dt);
    const last = Math.max(0, Math.floor(duration / dt) - 1);
    const looks = Math.min(last, 31);
    const short = looks && Math.floor(last / looks); // steps from one look to the next, or one more
    const strides = [short, short + 1].map((j) => {
      const [p, q] = power(...image, j);
      const [r, s] = exponential(x * dt * j, y * dt * j);
      return { p, q, r, s };
    });
    let [u, v] = METHOD[method].gain(x * dt, y * dt); // what is left of the sample
    let [e, f] = exponential((x * dt) / 2, (y * dt) / 2); // the continuous response
    let worst = 0; // squared
    for (let i = 0, j = 0; ; i++) {
      worst = Math.max(worst, ((u - e) / peak) ** 2 + ((v - f) / peak) ** 2);
      if (i === looks) break;
      const next = Math.round(((i + 1) * last) / looks);
      const { p, q, r, s } = strides[next - j - short];
      [u, v, e, f, j] = [u * p - v * q, u * q + v * p, e * r - f * s, e * s + f * r, next];
    }
    return Number.isNaN(worst) ? Infinity : Math.sqrt(worst); // NaN, the difference of two infinities
  });
}

// What becomes of each pole: unstable (its image is outside the unit circle), aliased (it turns by more than half a turn a step,
// beyond the Nyquist frequency), ringing (its image changes sign at nearly every step, the pole itself does not), or stable and no more.
function fates(poles, dt, method) {
  const reached = images(poles, dt, method);
  return Array.from(poles.re, (_, n) => {
    const modulus = Math.hypot(reached.re[n], reached.im[n]);
    const turn = Math.abs(poles.im[n] * dt);
    if (!(modulus <= 1 + 1e-12)) return "unstable";
    if (turn > Math.PI) return "aliased";
    const turned = Math.abs(Math.atan2(reached.im[n], reached.re[n]));
    return modulus > 0.1 && turned > 0.75 * Math.PI && turn < 0.5 * Math.PI ? "ringing" : "stable";
  });
}

// Poles, and the step and duration that suit them. S4D keeps one pole of each conjugate pair.
const PRESETS = {
  s4d_lin: { words: "S4D-Lin", sized: true, dt: 0.05, duration: 6, poles: (size) => fromFormula(size, () => -0.5, (n) => Math.PI * n) },
  s4d_real: { words: "S4D-Real", sized: true, dt: 0.1, duration: 4, poles: (size) => fromFormula(size, (n) => -(n + 1), () => 0) },
  oscillator: { words: "Lightly damped oscillator", dt: 0.25, duration: 20, poles: () => fromFormula(1, () => -0.1, () => 2) },
  stiff: { words: "Stiff pair", dt: 0.1, duration: 3, poles: () => fromFormula(2, (n) => -(100 ** n), () => 0) },
  integrator: { words: "Integrator", dt: 0.5, duration: 10, poles: () => fromFormula(1, () => 0, () => 0) },
  aliasing: { words: "Aliasing pair", dt: 1, duration: 20, poles: () => fromFormula(2, () => -0.05, (n) => (n ? 2 * Math.PI - 1 : 1)) },
  custom: { words: "Placed by hand", dt: 0.1, duration: 10, poles: () => complex(0) },
};
const presetPoles = (preset, size) => PRESETS[preset].poles(size);
const presetTimes = (preset) => Float64Array.of(PRESETS[preset].dt, PRESETS[preset].duration);

export const math = { images, gains, continuousResponse, sampledResponse, errorAgainstStep, fates, presetPoles, presetTimes };

// ---------------------------------------------------------------------------------------------------------- 2 words

const METHODS = { euler: "Euler", backward_euler: "backward Euler", bilinear: "bilinear", zoh: "zero-order hold" };
const MOST_POLES = 64;

const minus = (text) => String(text).replace("-", "−");
const signed = (value, digits = 3) => minus(number(Math.abs(value) < 1e-12 ? 0 : value, digits));
const complexText = (x, y) => (Math.abs(y) < 1e-12 ? signed(x) : `${signed(x)} ${y < 0 ? "−" : "+"} ${number(Math.abs(y))} i`);
// A share of something, as in "3% of" or "12 times" the peak.
function shareText(ratio) {
  if (!(ratio < 1e6)) return "more than a million times";
  return ratio < 10 ? `${number(100 * ratio, 2)}% of` : `${number(ratio, 2)} times`;
}
const modulusAt = ({ re, im }, n) => Math.hypot(re[n], im[n]);
const turnAt = ({ re, im }, n) => Math.abs(Math.atan2(im[n], re[n]));

const FATES = {
  stable: "is inside the circle",
  ringing: "rings, for it changes sign at nearly every step",
  aliased: "is aliased, for the pole is beyond the Nyquist frequency",
  unstable: "is outside the circle, unstable",
};
// What the samples make of a frequency that is too high for them.
const BEYOND = {
  euler: "Euler's samples turn by less than half a turn a step, as all samples do",
  backward_euler: "backward Euler damps such turns and slows them",
  bilinear: "the bilinear map squeezes every frequency below π/dt",
  zoh: "zero-order hold folds it back to a slower turn",
};

const turning = (rate) => (rate < 1e-12 ? "does not turn" : `turns at ${number(rate)} rad per unit of time`);

function describePole({ poles, dt, selected: n }, shown) {
  const [x, y] = [poles.re[n], poles.im[n]];
  const life = x < 0 ? `half-life ${number(Math.LN2 / -x)}` : x === 0 ? "never fades" : "grows";
  const image = complexText(shown.images.re[n], shown.images.im[n]);
  const modulus = modulusAt(shown.images, n);
  const fate = shown.fates[n] === "stable" && modulus > 1 - 1e-12 ? "is on the circle" : FATES[shown.fates[n]];
  return `s = ${complexText(x, y)}: ${life}, ${turning(Math.abs(y))}. Its image ${image}, of modulus ${number(modulus, 4)}, ${turning(turnAt(shown.images, n) / dt)} and ${fate}`;
}

function describeAll(state, shown) {
  const { poles, dt, method } = state;
  const size = poles.re.length;
  const count = (fate) => shown.fates.filter((found) => found === fate).length;
  const [unstable, aliased, ringing] = [count("unstable"), shown.aliased, count("ringing")];
  const growing = poles.re.filter((x) => x > 0).length;
  const caused = unstable > 0 && growing === 0 ? ", though no pole of the continuous system does" : "";
  return [
    `${PRESETS[state.preset].words}: ${plural(size, "pole")}, ${METHODS[method]}, step dt = ${number(dt)}, Nyquist frequency π/dt = ${number(Math.PI / dt)}.`,
    unstable
      ? `Unstable: ${plural(unstable, "image")} of ${size} outside the unit circle ${unstable === 1 ? "makes" : "make"} the sampled system grow${caused}.`
      : "Stable: every image is on or inside the unit circle.",
    growing && !unstable ? `${plural(growing, "pole")} of the continuous system ${growing === 1 ? "grows" : "grow"}, and the samples hide it.` : "",
    aliased ? `Aliasing: ${plural(aliased, "pole")} beyond the Nyquist frequency; ${BEYOND[method]}.` : "",
    ringing ? `Ringing: ${plural(ringing, "image")} near the negative real axis; the sampled response changes sign at nearly every step.` : "",
    shown.worst < 1e-12 ? "The sampled impulse response has no error." : `The sampled impulse response errs by up to ${shareText(shown.worst)} the continuous one's peak.`,
    `Selected pole ${state.selected + 1}: ${describePole(state, shown)}.`,
  ].filter(Boolean).join(" ");
}

// ---------------------------------------------------------------------------------------------------------- 3 plots

const MOST_DRAWN = 600; // samples; of more, evenly many are left out
const ERROR_RANGE = [1e-8, 10];
const STEP_RANGE = [1e-3, 10];
const STEPS = Float64Array.from({ length: 49 }, (_, i) => STEP_RANGE[0] * (STEP_RANGE[1] / STEP_RANGE[0]) ** (i / 48));
const DASHES = { euler: [2, 3], backward_euler: [7, 3], bilinear: [9, 3, 2, 3], zoh: [14, 4] };

function compute(state) {
  const { poles, dt, method, duration, selected } = state;
  const steps = Math.max(1, Math.floor(duration / dt + 1e-9));
  const stride = Math.ceil(steps / MOST_DRAWN);
  const count = Math.ceil(steps / stride);
  const sampled = sampledResponse(poles, dt, method, stride, count);
  const times = sampled.map((_, i) => (i * stride + 0.5) * dt);
  const atMiddles = continuousResponse(poles, dt / 2, stride * dt, count);
  const curve = continuousResponse(poles, 0, duration / 600, 601);
  const peak = curve.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const error = sampled.map((value, i) => {
    const ratio = Math.abs(value - atMiddles[i]) / peak;
    return Number.isFinite(ratio) ? ratio : Infinity;
  });
  const { re, im } = poles;
  return {
    images: images(poles, dt, method),
    fates: fates(poles, dt, method),
    aliased: im.filter((y) => Math.abs(y * dt) > Math.PI).length,
    curve, peak, sampled, times, stride, error,
    worst: error.reduce((most, value) => Math.max(most, value), 0),
    orders: Object.keys(METHODS).map((name) => [name, errorAgainstStep(re[selected], im[selected], duration, name, STEPS)]),
  };
}

const held = (value, low, high) => (value >= low ? Math.min(value, high) : low); // NaN, the difference of two infinities, too

function drawImpulse(plot, state, shown, style) {
  const reach = 2.5 * Math.min(shown.peak, 1e12);
  let [low, high] = [0, 0];
  for (const values of [shown.curve, shown.sampled]) {
    for (const value of values) [low, high] = [Math.min(low, held(value, -reach, reach)), Math.max(high, held(value, -reach, reach))];
  }
  const margin = 0.06 * (high - low);
  const y = [low - margin, high + margin];
  const { duration, dt } = state;
  plot.begin({ x: [0, duration], y, xTicks: linearTicks(0, duration), yTicks: linearTicks(...y), xLabel: "time t after the impulse" }, style);
  const inside = (values) => values.map((value) => held(value, y[0] - margin, y[1] + margin));
  const sampled = inside(shown.sampled);
  const grid = shown.curve.map((_, i) => (i * duration) / 600);
  plot.line(grid, inside(shown.curve), style.continuous, { width: 3 });
  if (shown.stride === 1 && plot.x(dt) - plot.x(0) > 3) { // each sample for as long as it is held
    const edges = Array.from(shown.times).flatMap((_, j) => [j * dt, (j + 1) * dt]);
    plot.line(edges, edges.map((_, i) => sampled[i >> 1]), style.sampled, { width: 1.2 });
  } else plot.line(shown.times, sampled, style.sampled, { width: 1.5 });
  squares(plot, state, shown.times, sampled, style.sampled);
  plot.end();
}

// A square at the middle of each step, where there is room.
function squares(plot, { dt }, times, values, color) {
  if (plot.x(dt) - plot.x(0) < 5) return;
  plot.context.fillStyle = color;
  times.forEach((t, i) => plot.context.fillRect(plot.x(t) - 2.5, plot.y(values[i]) - 2.5, 5, 5));
}

function drawError(plot, state, shown, style) {
  const { duration } = state;
  const [low, high] = ERROR_RANGE;
  plot.begin({ x: [0, duration], y: ERROR_RANGE, logY: true, xTicks: linearTicks(0, duration), yTicks: decadeTicks(low, high, 5).slice(1), xLabel: "time t after the impulse" }, style);
  const values = shown.error.map((value) => held(value, low / 2, high * 2));
  plot.line(shown.times, values, style.sampled, { width: 1.5 });
  squares(plot, state, shown.times, values, style.sampled);
  plot.end();
}

function drawOrder(plot, state, shown, style) {
  const [low, high] = ERROR_RANGE;
  plot.begin({ x: STEP_RANGE, y: ERROR_RANGE, logX: true, logY: true, xTicks: decadeTicks(...STEP_RANGE), yTicks: decadeTicks(low, high, 5).slice(1), xLabel: "step dt" }, style);
  plot.line([state.dt, state.dt], ERROR_RANGE, style.text, { width: 1, dash: [2, 3] });
  for (const [name, errors] of shown.orders) {
    const values = errors.map((value) => held(value, low / 1e3, high * 1e3));
    if (name === state.method) plot.line(STEPS, values, style.sampled, { width: 3 });
    plot.line(STEPS, values, style.text, { width: 1.3, dash: DASHES[name] });
  }
  if (shown.orders.every(([, errors]) => errors.every((value) => value < low))) {
    const { left, right, top, bottom } = plot.box;
    Object.assign(plot.context, { fillStyle: style.text, textAlign: "center", textBaseline: "middle" });
    plot.context.fillText("no error at any step", (left + right) / 2, (top + bottom) / 2);
  }
  plot.end();
}

// ---------------------------------------------------------------------------------------------------------- 4 planes

// The unit of a marker is its radius; a fate has a shape, so that no color need be told from another.
const SHAPES = {
  stable: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0Z",
  ringing: "M0 -1.3L1.3 0L0 1.3L-1.3 0Z",
  aliased: "M0 -1.3L1.25 .95H-1.25Z",
  unstable: "M-1 -1H1V1H-1Z",
};
const CIRCLE = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;

// A square picture of a part of the complex plane. Lengths on the screen are CSS pixels from its center; y points down there.
class Plane {
  constructor(parent, name, caption) {
    this.figure = parent.appendChild(document.createElement("figure"));
    this.figure.className = `plane ${name}`;
    this.figure.innerHTML = `<figcaption>${caption}</figcaption>`;
    this.svg = svgElement(this.figure, "svg");
    this.background = svgElement(this.svg, "g");
    this.mirrors = svgElement(this.svg, "g");
    for (const part of [this.background, this.mirrors]) part.setAttribute("aria-hidden", "true");
    this.points = svgElement(this.svg, "g");
    this.size = 0;
    this.center = 0; // real part in the middle
    this.extent = 1; // from the middle to an edge
  }

  get unit() {
    return this.size / 2 / this.extent;
  }

  exact(re, im) {
    return [(re - this.center) * this.unit, -im * this.unit];
  }

  // Where a number is shown: one that is out of the picture waits at its edge.
  screen(re, im) {
    const edge = this.size / 2 - 7;
    return this.exact(re, im).map((at) => held(at, -edge, edge));
  }

  number(x, y) {
    return [x / this.unit + this.center, -y / this.unit];
  }

  // The point nearest to a place on the screen and within reach (pixels), or its mirror image: [index, 1 or -1].
  nearest([x, y], numbers, pairs, reach) {
    let [best, distance] = [null, reach];
    for (const side of pairs ? [-1, 1] : [1]) {
      for (let n = 0; n < numbers.re.length; n++) {
        const [px, py] = this.screen(numbers.re[n], side * numbers.im[n]);
        const d = Math.hypot(px - x, py - y);
        if (d <= distance) [best, distance] = [[n, side], d];
      }
    }
    return best;
  }

  rebuild(size) {
    for (const group of [this.points, this.mirrors]) {
      group.replaceChildren();
      for (let n = 0; n < size; n++) svgElement(group, "path");
    }
    this.placed = []; // what each marker shows
  }

  // Writing to the page is what costs: only what changed is written.
  place(numbers, fates, { pairs, selected, hovered }) {
    const radius = fates.length > 24 ? 4 : 5.5;
    for (let n = 0; n < fates.length; n++) {
      const [re, im] = [numbers.re[n], numbers.im[n]];
      const kind = `${fates[n]}${n === selected ? " selected" : ""}${n === hovered ? " hovered" : ""}`;
      const known = this.placed[n];
      if (known && known.re === re && known.im === im && known.kind === kind && known.unit === this.unit && known.pairs === pairs) continue;
      this.placed[n] = { re, im, kind, unit: this.unit, pairs };
      const size = (n === selected ? 1.45 : 1) * radius;
      this.write(this.points.children[n], SHAPES[fates[n]], kind, this.screen(re, im), size);
      this.write(this.mirrors.children[n], pairs && im !== 0 ? SHAPES[fates[n]] : "", kind, this.screen(re, -im), 0.85 * size);
    }
  }

  write(marker, outline, kind, [x, y], size) {
    marker.setAttribute("d", outline);
    marker.setAttribute("class", kind);
    marker.style.transform = `translate(${x}px, ${y}px) scale(${size})`;
  }

  // A line through complex numbers, and what lies under everything.
  path({ re, im }) {
    return Array.from(re, (x, n) => `${n ? "L" : "M"}${this.exact(x, im[n]).map((at) => at.toFixed(1)).join(" ")}`).join("");
  }

  draw(contents) {
    const half = this.size / 2;
    this.svg.setAttribute("viewBox", `${-half} ${-half} ${this.size} ${this.size}`);
    this.background.innerHTML = contents(half);
  }
}

const shape = (kind, d) => `<path class="${kind}" fill-rule="evenodd" d="${d}"/>`;
const label = (x, y, words, anchor = "middle") => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;

function drawSPlane(plane, { dt, method }) {
  plane.draw((half) => {
    const [x0, y0] = plane.exact(0, 0);
    const radius = plane.unit / dt;
    const all = `M${-half} ${-half}H${half}V${half}H${-half}Z`;
    const left = `M${-half} ${-half}H${held(x0, -half, half)}V${half}H${-half}Z`;
    const stable = { euler: CIRCLE(x0 - radius, y0, radius), backward_euler: `${all}${CIRCLE(x0 + radius, y0, radius)}`, bilinear: left, zoh: left }[method];
    const nyquist = (Math.PI / dt) * plane.unit;
    const seen = Math.min(nyquist, half);
    const ticks = (low, high) => linearTicks(low, high, 5).filter(([value]) => Math.abs(value) > 1e-9 * (high - low));
    const across = ticks(plane.center - plane.extent, plane.center + plane.extent);
    const along = ticks(-plane.extent, plane.extent);
    return shape("region", stable) +
      shape("grid", across.map(([value]) => `M${plane.exact(value, 0)[0]} ${-half}V${half}`).join("") + along.map(([value]) => `M${-half} ${plane.exact(0, value)[1]}H${half}`).join("")) +
      shape("axis", `M${-half} ${y0}H${half}M${x0} ${-half}V${half}`) +
      (nyquist < half ? shape("strip", `M${-half} ${-nyquist}H${half}M${-half} ${nyquist}H${half}`) + label(half - 4, nyquist > 16 ? -nyquist + 13 : -nyquist - 4, "π/dt", "end") + label(half - 4, nyquist > 16 ? nyquist - 4 : nyquist + 13, "−π/dt", "end") : "") +
      shape("frequencies", `M${x0} ${-seen}V${seen}`) +
      across.filter(([value]) => Math.abs(plane.exact(value, 0)[0]) < half - 14).map(([value, words]) => label(plane.exact(value, 0)[0], half - 4, minus(words))).join("") +
      along.filter(([value]) => Math.abs(plane.exact(0, value)[1]) < half - 20).map(([value, words]) => label(-half + 4, plane.exact(0, value)[1] + 4, `${minus(words)} i`, "start")).join("");
  });
}

const FREQUENCIES = { re: new Float64Array(97), im: Float64Array.from({ length: 97 }, (_, i) => (Math.PI * (i - 48)) / 48) }; // |Im s| dt <= π

function drawZPlane(plane, { method }) {
  plane.draw((half) => {
    const [x0, y0] = plane.exact(0, 0);
    const one = plane.unit;
    const disk = CIRCLE(x0, y0, one);
    const fromLeft = { euler: `M${-half} ${-half}H${x0 + one}V${half}H${-half}Z`, backward_euler: CIRCLE(x0 + one / 2, y0, one / 2), bilinear: disk, zoh: disk }[method];
    return shape("region", fromLeft) +
      shape("axis", `M${-half} ${y0}H${half}M${x0} ${-half}V${half}`) + shape("rim", disk) +
      shape("frequencies", plane.path(images(FREQUENCIES, 1, method))) +
      label(x0 + one + 5, y0 + 16, "1", "start") + label(x0 - one - 5, y0 + 16, "−1", "end") + label(x0 + 5, y0 - one - 5, "i", "start") + label(x0 + 5, y0 + one + 14, "−i", "start");
  });
}

// ----------------------------------------------------------------------------------------------------------- 5 page

const STYLE = `
.pole-explorer { --continuous: var(--panel-1); --sampled: var(--panel-2); }
.pole-explorer .plane svg { display: block; width: 100%; max-width: 430px; aspect-ratio: 1; margin: 0 auto; overflow: hidden; user-select: none; -webkit-user-select: none; border-radius: 4px; background: var(--panel-inside); }
.pole-explorer .s svg { touch-action: pan-y; }
.pole-explorer .plane text { fill: var(--panel-text); font-size: 11px; pointer-events: none; }
.pole-explorer .plane path { vector-effect: non-scaling-stroke; }
.pole-explorer .region { fill: var(--series); fill-opacity: .14; }
.pole-explorer .grid { stroke: var(--panel-grid); stroke-opacity: .55; fill: none; }
.pole-explorer .axis { stroke: var(--panel-text); stroke-opacity: .45; fill: none; }
.pole-explorer .rim { stroke: var(--panel-text); stroke-width: 1.5; fill: none; }
.pole-explorer .strip { stroke: var(--panel-text); stroke-dasharray: 6 4; fill: none; }
.pole-explorer .frequencies { stroke: var(--series); stroke-width: 3; stroke-opacity: .8; fill: none; }
.pole-explorer .s { --series: var(--continuous); }
.pole-explorer .z { --series: var(--sampled); }
.pole-explorer .plane g:not(:first-child) path { fill: var(--series); stroke: var(--series); stroke-width: 1; outline: none; }
.pole-explorer .plane g:nth-child(2) path { fill: none; }
.pole-explorer .plane g:nth-child(3) .unstable { fill: none; stroke-width: 2.5; }
.pole-explorer .plane g:nth-child(3) .hovered { stroke: var(--panel-text); stroke-width: 2; }
.pole-explorer .plane g:nth-child(3) .selected { stroke: var(--panel-text); stroke-width: 2.5; }
.pole-explorer .s g:nth-child(3) path { cursor: grab; }
.pole-explorer .s g:nth-child(3) path:focus-visible { stroke: var(--panel-text); stroke-width: 5; }
.pole-explorer svg.dragging, .pole-explorer svg.dragging * { cursor: grabbing; }
@media (prefers-reduced-motion: no-preference) { .pole-explorer svg.settling g path { transition: transform .35s ease-out; } }
.pole-explorer .drawn { white-space: nowrap; margin-inline-end: .9em; }
.pole-explorer .drawn svg { vertical-align: -.15em; margin-inline-end: .3em; overflow: visible; }
.pole-explorer .drawn path { fill: none; stroke: var(--panel-text); stroke-width: 1.3; vector-effect: non-scaling-stroke; }
.pole-explorer .markers { margin: 0 0 .5em; font-size: .93em; }
.pole-explorer .markers .drawn svg { width: 16px; }
.pole-explorer .markers path { fill: var(--panel-text); }
.pole-explorer .markers .unstable { fill: none; stroke-width: 2.5; }
.pole-explorer .key.bar::before { opacity: .3; }
.pole-explorer .pole { justify-content: center; gap: .4em .5em; margin: .4em 0 0; font-size: .93em; }
.pole-explorer .pole label { font-size: 1em; }
.pole-explorer .pole input[type=number] { width: 6em; }
.pole-explorer .pole input[name=selected] { width: 4.3em; }
.pole-explorer .buttons { display: flex; flex-wrap: wrap; gap: .3em; }
@container (min-width: 600px) {
  .pole-explorer .panels { grid-template: "s z" auto "impulse order" auto "error order" auto / minmax(0, 1fr) minmax(0, 1fr); }
  .pole-explorer .s { grid-area: s; } .pole-explorer .z { grid-area: z; } .pole-explorer .impulse { grid-area: impulse; }
  .pole-explorer .error { grid-area: error; } .pole-explorer .order { grid-area: order; }
}`;

const drawn = (inside, words) => `<span class="drawn"><svg viewBox="-14 -7 28 14" width="28" height="14" aria-hidden="true">${inside}</svg>${words}</span>`;
const MARKERS = ["stable", "ringing", "aliased", "unstable"].map((fate) => drawn(`<path class="${fate}" transform="scale(5)" d="${SHAPES[fate]}"/>`, fate)).join("");
const DASHED = Object.entries(METHODS).map(([name, words]) => drawn(`<path d="M-14 0H14" stroke-dasharray="${DASHES[name]}"/>`, words)).join("");

const SLIDER = {
  state_size: { label: "poles N", name: "number of poles N", min: 0, max: 6, step: 0.125, toSlider: Math.log2, fromSlider: (s) => Math.round(2 ** s), text: String },
  dt: { label: "step dt", name: "step dt", min: -3, max: 1, step: 0.01, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(4)), text: (dt) => number(dt) },
  duration: { label: "time shown", name: "time shown", min: -1, max: 2, step: 0.01, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(2)), text: (time) => number(time) },
};

const CONTROLS = `
<fieldset class="parameters"><legend>Poles and steps</legend>
  <label>Poles<select name="preset">${choices(Object.entries(PRESETS).map(([name, { words }]) => [name, words]))}</select></label>
  ${slider("state_size", SLIDER.state_size)}
  <label>Discretization<select name="method">${choices(Object.entries(METHODS))}</select></label>
  ${slider("dt", SLIDER.dt)}${slider("duration", SLIDER.duration)}
  <label class="check"><input type="checkbox" name="pairs">conjugate pairs</label>
</fieldset>
<p class="markers">${MARKERS}</p>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Each pole s is one mode x′ = s x + u; the output is the mean of the real parts, so a pole answers for its conjugate as well, which is drawn hollow if you ask for pairs.</li>
  <li>s-plane: shaded, the region that the method maps inside the unit circle; dashed, the Nyquist frequencies ±π/dt; bold, the imaginary axis between them.</li>
  <li>z-plane: shaded, the image of the left half plane; bold, the image of that piece of the imaginary axis. Images: Euler 1 + s dt, backward Euler 1/(1 − s dt), bilinear (1 + s dt/2)/(1 − s dt/2), zero-order hold e<sup>s dt</sup>.</li>
  <li>Impulse response: (1/N) Σ Re e<sup>s t</sup>, and what a sample of height 1/dt, which is an impulse of area 1, leaves after j steps: (1/N) Σ Re Ā<sup>j</sup> B̄/dt, drawn for as long as it is held, with a square at the middle of the step.</li>
  <li>Error: the distance from the square to the curve, over the largest value of the curve. Of more than ${MOST_DRAWN} samples, evenly many are left out.</li>
  <li>Error against the step: the largest error of the selected pole alone, over the time shown, for every method; a slope of one is first order, of two second order.</li>
  <li>Ringing: |z| over 0.1 and more than three quarters of half a turn a step, where the pole itself turns by less than half of that. Aliasing: |Im s| over π/dt. A pole that is both unstable and one of these is marked unstable.</li>
</ul></details>`;

const POLE_CONTROLS = `
<fieldset class="pole"><legend>Selected pole</legend>
  <label>Pole<input type="number" name="selected" min="1" step="1"></label>
  <label>Real part<input type="number" name="re" step="any"></label>
  <label>Imaginary part<input type="number" name="im" step="any"></label>
  <span class="buttons"><button type="button" name="add">Add</button><button type="button" name="remove">Remove</button><button type="button" name="out" aria-label="Zoom out">−</button><button type="button" name="in" aria-label="Zoom in">+</button></span>
</fieldset>
<p class="hint">Drag a pole; double-click adds one. <span class="keys">Keys: arrows move it (Shift: farther), Page Up and Down choose, Delete removes.</span></p>`;

// What the colors of the panel stand for here.
const roles = ({ series: [continuous, sampled], text, grid, font }) => ({ continuous, sampled, text, grid, font });

// --------------------------------------------------------------------------------------------------------- 6 render

const SHARED = ["preset", "state_size", "dt", "method", "duration", "pairs", "selected"]; // with the poles: what the model holds

// The smallest round extent of a picture three quarters left of the imaginary axis that holds every pole with room around it.
function fit({ re, im }) {
  let need = 1;
  for (let n = 0; n < re.length; n++) need = Math.max(need, 1.15 * Math.abs(im[n]), -re[n] / 1.3, re[n] / 0.4);
  const unit = 10 ** Math.floor(Math.log10(need));
  return unit * [1, 1.5, 2, 3, 5, 7, 10].find((m) => m * unit >= need * (1 - 1e-9));
}

function render({ model, el }) {
  const panel = new Panel(el, { name: "pole-explorer", controls: CONTROLS, style: STYLE, draw });
  const { figures } = panel;
  const field = (name) => panel.field(name);
  const listen = (...hearing) => panel.listen(...hearing);
  const schedule = () => panel.schedule();
  const s = new Plane(figures, "s", `<strong>s-plane</strong>${key("bar", "continuous", "mapped inside the circle")}`);
  const z = new Plane(figures, "z", `<strong>z-plane</strong>${key("bar", "sampled", "image of the left half plane")}`);
  s.svg.setAttribute("role", "group");
  s.svg.setAttribute("aria-label", "Poles in the s-plane");
  z.svg.setAttribute("role", "img");
  s.figure.insertAdjacentHTML("beforeend", POLE_CONTROLS);
  z.figure.insertAdjacentHTML("beforeend", `<p class="reading"></p>`);
  z.extent = 1.5;
  const plots = {
    impulse: new Plot(figures, "impulse", `<strong>Impulse response</strong>${key("", "continuous", "continuous")}${key("dot", "sampled", "sampled")}`),
    error: new Plot(figures, "error", `<strong>Its error</strong>${key("dot", "sampled", "over the peak")}`),
    order: new Plot(figures, "order", `<strong>Error of pole <span class="selected-name"></span> against the step</strong><span class="dashes">${DASHED}</span>`),
  };
  const state = { poles: complex(0), hovered: null };
  let settling = 0;

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.impulse.width > 0) {
      const style = roles(panel.style);
      drawImpulse(plots.impulse, state, shown, style);
      drawError(plots.error, state, shown, style);
      drawOrder(plots.order, state, shown, style);
    }
    s.place(state.poles, shown.fates, state);
    z.place(shown.images, shown.fates, state);
    showPole(shown);
    return () => describe(shown);
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    for (let k = 0; k < state.poles.re.length; k++) speak(k, shown);
    const n = state.selected;
    const moduli = Array.from(shown.fates, (_, k) => modulusAt(shown.images, k));
    z.svg.setAttribute("aria-label", `Images in the z-plane: moduli from ${number(Math.min(...moduli))} to ${number(Math.max(...moduli))}; that of pole ${n + 1} is ${complexText(shown.images.re[n], shown.images.im[n])}.`);
    const name = (plot, words) => plot.canvas.setAttribute("aria-label", words);
    const last = shown.curve.length - 1;
    name(plots.impulse, `Impulse response: the continuous one goes from ${signed(shown.curve[0])} to ${signed(shown.curve[last])} at time ${number(state.duration)}, the sampled one from ${signed(shown.sampled[0])} to ${signed(shown.sampled.at(-1))}.`);
    name(plots.error, `Error of the sampled impulse response: up to ${shareText(shown.worst)} the continuous one's peak.`);
    const index = STEPS.findLastIndex((dt) => dt <= state.dt);
    name(plots.order, `Largest error of pole ${n + 1} near this step: ${shown.orders.map(([method, errors]) => `${METHODS[method]} ${number(errors[Math.max(index, 0)], 2)}`).join(", ")}.`);
  }

  const rounded = (value) => Number(value.toPrecision(6));

  function showPole(shown) {
    const { selected: n, poles } = state;
    const size = poles.re.length;
    field("selected").max = size;
    panel.write("selected", n + 1);
    panel.write("re", rounded(poles.re[n]));
    panel.write("im", rounded(poles.im[n]));
    field("remove").disabled = size === 1;
    field("add").disabled = size === MOST_POLES;
    panel.tell(".selected-name", String(n + 1));
    panel.tell(".reading", `Pole ${n + 1} of ${size}: ${describePole(state, shown)}.`);
    speak(n, shown);
  }

  // What a screen reader says of a pole.
  function speak(n, { images: reached, fates: found }) {
    const [re, im] = [state.poles.re[n], state.poles.im[n]];
    const point = s.points.children[n];
    point.setAttribute("aria-valuenow", rounded(re));
    point.setAttribute("aria-valuemin", rounded(Math.min(re, s.center - s.extent)));
    point.setAttribute("aria-valuemax", rounded(Math.max(re, s.center + s.extent)));
    point.setAttribute("aria-valuetext", `s = ${complexText(re, im)}, image ${complexText(reached.re[n], reached.im[n])}, ${found[n]}`);
  }

  function showControls() {
    for (const name of ["preset", "method"]) field(name).value = state[name];
    field("pairs").checked = state.pairs;
    for (const [name, scale] of Object.entries(SLIDER)) panel.writeSlider(name, scale, state[name]);
    panel.nodes('[data-parameter="state_size"]')[0].hidden = !PRESETS[state.preset].sized;
  }

  function drawPlanes() {
    s.center = -s.extent / 2;
    drawSPlane(s, state);
    drawZPlane(z, state);
    schedule();
  }

  // ---- state

  // Tell the model what changed here; in a notebook this reaches Python.
  function share() {
    panel.share(model, {
      ...Object.fromEntries(SHARED.map((name) => [name, state[name]])),
      poles: toPairs(state.poles),
    });
  }

  function takePoles(poles) {
    const size = poles.re.length;
    Object.assign(state, { poles, state_size: size, selected: Math.min(state.selected, size - 1), hovered: null });
    for (const plane of [s, z]) plane.rebuild(size);
    Array.from(s.points.children, (point, n) => {
      point.setAttribute("role", "slider");
      point.setAttribute(...OUR_KEYS);
      point.setAttribute("aria-label", `Pole ${n + 1} of ${size}`);
      point.setAttribute("tabindex", n === state.selected ? "0" : "-1");
    });
  }

  function fromModel() {
    const pairs = model.get("poles") ?? [];
    const preset = model.get("preset") ?? (pairs.length ? "custom" : "s4d_lin");
    const { dt, duration } = PRESETS[preset];
    const usual = { preset, state_size: 8, dt, method: "zoh", duration, pairs: true, selected: 0 };
    for (const name of SHARED) state[name] = model.get(name) ?? usual[name];
    const before = state.poles;
    takePoles(pairs.length ? fromPairs(pairs) : presetPoles(preset, state.state_size));
    if (String([...before.re, ...before.im]) !== String([...state.poles.re, ...state.poles.im])) s.extent = fit(state.poles);
    showControls();
    drawPlanes();
  }

  // Poles, or what becomes of them, as chosen: the images glide where motion is welcome.
  function settle() {
    z.svg.classList.add("settling");
    clearTimeout(settling);
    settling = setTimeout(() => z.svg.classList.remove("settling"), 400);
    showControls();
    drawPlanes();
    share();
  }

  function choose(preset) {
    state.preset = preset;
    if (preset !== "custom") {
      const { dt, duration } = PRESETS[preset];
      Object.assign(state, { dt, duration });
      takePoles(presetPoles(preset, Math.max(state.state_size, 8)));
      s.extent = fit(state.poles);
    }
    settle();
  }

  function byHand() {
    if (state.preset === "custom") return;
    state.preset = "custom";
    showControls();
  }

  function move(n, re, im) {
    byHand();
    [state.poles.re[n], state.poles.im[n]] = [re, im];
    schedule();
  }

  function select(n, focus) {
    s.points.children[state.selected]?.setAttribute("tabindex", "-1");
    s.points.children[n].setAttribute("tabindex", "0");
    state.selected = n;
    if (focus) s.points.children[n].focus({ preventScroll: true });
    schedule();
  }

  function add(re, im) {
    const size = state.poles.re.length;
    if (size === MOST_POLES) return;
    byHand();
    takePoles(joined(state.poles, re, im));
    select(size, true);
    share();
  }

  function remove() {
    if (state.poles.re.length === 1) return;
    byHand();
    takePoles(without(state.poles, state.selected));
    select(state.selected, false);
    share();
  }

  // ---- pointer

  const reach = (event) => (event.pointerType === "mouse" ? 14 : 26);
  const nearest = (place, within) => s.nearest(place, state.poles, state.pairs, within);
  let side = 1; // -1 while the mirror image is the one that is dragged

  // The pole at a place on the screen, kept in the picture and drawn to the real axis when close.
  function poleAt([x, y]) {
    const edge = s.size / 2 - 7;
    const snapped = Math.abs(y) < 4 ? 0 : y;
    const [re, im] = s.number(held(x, -edge, edge), held(snapped, -edge, edge));
    return [re, side * im + 0]; // no -0
  }

  panel.drag(s.svg, {
    grab: (event) => {
      const found = nearest(fromMiddle(s.svg, event), reach(event));
      if (found === null) return false;
      z.svg.classList.remove("settling");
      side = found[1];
      select(found[0], true);
      return true;
    },
    move: (event) => move(state.selected, ...poleAt(fromMiddle(s.svg, event))),
    drop: () => {
      side = 1;
      share();
    },
    hover: (event) => event.pointerType === "mouse" && hover(nearest(fromMiddle(s.svg, event), reach(event))),
    holds: (touch) => nearest(fromMiddle(s.svg, touch), 26) !== null, // elsewhere a finger scrolls the page as usual
  });
  listen(s.svg, "dblclick", (event) => {
    const place = fromMiddle(s.svg, event);
    if (nearest(place, 8) === null) add(...poleAt(place));
  });
  // A pole and its image are hovered together.
  listen(z.svg, "pointermove", (event) => event.pointerType === "mouse" && hover(z.nearest(fromMiddle(z.svg, event), images(state.poles, state.dt, state.method), state.pairs, 14)));
  listen(z.svg, "click", () => {
    if (state.hovered === null) return;
    select(state.hovered, false);
    share();
  });
  for (const { svg } of [s, z]) listen(svg, "pointerleave", () => hover(null));

  function hover(found) {
    const n = found && found[0];
    if (n === state.hovered) return;
    state.hovered = n;
    schedule();
  }

  // ---- keyboard

  panel.keys(s.points, () => state.selected, {
    move: (right, up, far) => {
      const n = state.selected;
      const step = (far ? 0.1 : 0.01) * s.extent;
      move(n, state.poles.re[n] + step * right, state.poles.im[n] + step * up);
      share();
    },
    choose: (n) => {
      select(n, true);
      share();
    },
    remove,
  });

  // ---- controls

  for (const [name, { fromSlider }] of Object.entries(SLIDER)) {
    listen(field(name), "input", () => {
      state[name] = fromSlider(Number(field(name).value));
      if (name === "state_size") {
        takePoles(presetPoles(state.preset, state.state_size));
        s.extent = fit(state.poles);
      }
      showControls();
      drawPlanes();
      share();
    });
  }
  listen(field("preset"), "change", () => choose(field("preset").value));
  listen(field("method"), "change", () => {
    state.method = field("method").value;
    settle();
  });
  listen(field("pairs"), "change", () => {
    state.pairs = field("pairs").checked;
    schedule();
    share();
  });
  listen(field("selected"), "input", () => {
    const n = Number(field("selected").value) - 1;
    if (!Number.isInteger(n) || n < 0 || n >= state.poles.re.length) return;
    select(n, false);
    share();
  });
  for (const name of ["re", "im"]) {
    listen(field(name), "input", () => {
      const given = field(name).valueAsNumber;
      if (!Number.isFinite(given)) return;
      const n = state.selected;
      move(n, name === "re" ? given : state.poles.re[n], name === "im" ? given : state.poles.im[n]);
      share();
    });
    listen(field(name), "change", () => { // what was typed gives way to what it became
      field(name).blur();
      schedule();
    });
  }
  listen(field("add"), "click", () => { // beside the selected pole, a little higher
    const n = state.selected;
    add(state.poles.re[n], state.poles.im[n] + 0.15 * s.extent);
  });
  listen(field("remove"), "click", remove);
  for (const [name, factor] of [["in", 1 / 1.5], ["out", 1.5]]) {
    listen(field(name), "click", () => {
      s.extent *= factor;
      drawPlanes();
    });
  }

  // ---- surroundings

  panel.follow(model, [...SHARED, "poles"], fromModel);
  fromModel();
  panel.settle(Object.values(plots), [s.svg, z.svg], (target, width) => {
    (target === s.svg ? s : z).size = width;
    drawPlanes();
  });

  return () => {
    clearTimeout(settling);
    panel.leave();
  };
}

export default { render };
