// Draw a function: the reader draws a signal, and four memories of N coefficients (HiPPO's LegS, LegT, LagT and Fourier)
// remember it as time passes. It has two hosts: the website (host.mjs) and, through anywidget, a notebook.
//
// 1 mathematics (held to seqlab/ops/hippo/reference.py by golden vectors) · 2 signals · 3 words · 4 what is shown · 5 plots ·
// 6 page · 7 render

import { OUR_KEYS, Panel, Plot, choices, decadeTicks, faded, key, linearTicks, number, slider } from "./panel.mjs";

// ---------------------------------------------------------------------------------------------------- 1 mathematics
// Sample number k = 1 .. L holds over (k-1, k] / L: the signal lasts 1, as theta counts.

const TAU = 2 * Math.PI;
const MOST_ORDER = 64;
const root = (n) => Math.sqrt(2 * n + 1);
const ROOTS = Float64Array.from({ length: MOST_ORDER }, (_, n) => root(n));

// A bilinear step of each measure, (c, k, value) => c moves on in place, with O(N) work: first x = (I - a A)^-1 (c + a B value),
// a = h/2 where samples are h windows long, then eq. 4.18 with equal steps, c <- 2 x - c.

// LagT's A (eq. 4.7) sums, so a running sum solves it. B is 1.
function lagtStep(a, N) {
  const inverse = 1 / (1 + a / 2);
  const kept = 1 - a * inverse;
  return (c, k, value) => {
    let q = 0; // x[0] + .. + x[n - 1]
    for (let n = 0; n < N; n++) {
      const share = (c[n] + a * value) * inverse;
      c[n] = 2 * (share - a * inverse * q) - c[n];
      q = kept * q + share;
    }
  };
}

// LegT's A (eq. 4.6) has an inverse of three diagonals, as the integral of a Legendre polynomial is a difference of two: -w_n
// above and w_n below the main one, which is -1/2, 0 .. 0, -1/(4N - 2). So x solves (a I - A^-1) x = -A^-1 y, from top to bottom
// and back; every pivot d is positive.
function legtStep(a, N) {
  const w = Float64Array.from({ length: N + 1 }, (_, n) => (n > 0 && n < N ? 1 / (2 * root(n) * root(n - 1)) : 0));
  const ends = new Float64Array(N);
  ends[0] += 1 / 2;
  ends[N - 1] += 1 / (4 * N - 2);
  const d = ends.map((end) => a + end);
  for (let n = 1; n < N; n++) d[n] += w[n] ** 2 / d[n - 1];
  const below = w.map((value, n) => (n > 0 ? value / d[n - 1] : 0));
  const inverse = d.map((pivot) => 1 / pivot);
  const beyond = inverse.map((value, n) => w[n + 1] * value);
  const x = new Float64Array(N + 1); // and a 0 beyond the last row
  return (c, k, value) => {
    for (let n = 0; n < N; n++) x[n] = c[n] + a * ROOTS[n] * value;
    let above = 0; // what x held one row up
    let last = 0; // what it holds there now
    for (let n = 0; n < N; n++) {
      const here = x[n];
      last = x[n] = ends[n] * here - w[n] * above + w[n + 1] * x[n + 1] + below[n] * last;
      above = here;
    }
    last = 0;
    for (let n = N - 1; n >= 0; n--) {
      last = inverse[n] * x[n] - beyond[n] * last;
      c[n] = 2 * last - c[n];
    }
  };
}

// Fourier's A (eq. 4.8) turns each cosine with its sine, less 2 g gᵀ, where g = g(0) is 1 and then √2 and 0 by turns: two by
// two, then Sherman and Morrison. B is 2 g.
function fourierStep(a, N) {
  const w = Float64Array.from({ length: N }, (_, n) => a * Math.PI * n);
  const shrink = w.map((angle) => 1 / (1 + angle * angle));
  const x = new Float64Array(N);
  // x = (c + entry g) turned back; returns g · x.
  const turnBack = (c, entry) => {
    let dot = (x[0] = c[0] + entry);
    for (let n = 1; n < N; n += 2) {
      const cosine = c[n] + Math.SQRT2 * entry;
      if (n + 1 === N) x[n] = cosine; // without its sine
      else {
        x[n] = (cosine - w[n + 1] * c[n + 1]) * shrink[n + 1];
        x[n + 1] = (c[n + 1] + w[n + 1] * cosine) * shrink[n + 1];
      }
      dot += Math.SQRT2 * x[n];
    }
    return dot;
  };
  const scale = (2 * a) / (1 + 2 * a * turnBack(new Float64Array(N), 1));
  const turned = x.slice();
  return (c, k, value) => {
    const share = scale * turnBack(c, 2 * a * value);
    for (let n = 0; n < N; n++) c[n] = 2 * (x[n] - share * turned[n]) - c[n];
  };
}

// LegS (eq. 4.5) has 1/t before its A, and no h: the triangular solve is a running sum.
function legsStep(c, k, value) {
  if (k === 1) {
    c.fill(0);
    c[0] = value; // eq. 4.10
    return;
  }
  const a = 0.5 / k;
  const rho = k / (k - 1);
  let q = 0;
  for (let n = 0; n < c.length; n++) {
    const r = ROOTS[n];
    const x = (c[n] + a * r * (value - q)) * (1 / (1 + a * (n + 1))); // eq. 4.13; the division need not wait for q
    q += r * x;
    c[n] = (1 + rho) * x - rho * c[n]; // eq. 4.18
  }
}

const stepOf = (measure, N, h) => (measure === "legs" ? legsStep : { legt: legtStep, lagt: lagtStep, fourier: fourierStep }[measure](h / 2, N));

// c (N) after the first `seen` samples of f. kept[j] is c after j EVERY samples: the last one in time is where it goes on from.
const EVERY = 16;
function follow(step, f, seen, kept) {
  let k = EVERY * Math.min(kept.length - 1, Math.floor(seen / EVERY));
  const c = kept[k / EVERY].slice();
  while (k < seen) {
    step(c, ++k, f[k - 1]);
    if (k % EVERY === 0) kept.push(c.slice());
  }
  return c;
}

const coefficients = (measure, N, h, f, seen) => follow(stepOf(measure, N, h), f, seen, [new Float64Array(N)]);

// g_n(s), (N, P), at P times ago, in windows: a row for each n, by recurrence from the rows before.
function basis(measure, N, s, g = new Float64Array(N * s.length)) {
  if (measure === "fourier") turns(g, s);
  else if (measure === "lagt") threeTerms(g, N, s, (ago) => Math.exp(-ago / 2), (n) => [(2 * n - 1) / n, -1 / n, -(n - 1) / n]);
  else { // Legendre's polynomials of 1 - 2s, times root(n)
    threeTerms(g, N, s, () => 1, (n) => {
      const ahead = ((2 * n - 1) / n) * (root(n) / root(n - 1));
      return [ahead, -2 * ahead, n > 1 ? (-(n - 1) / n) * (root(n) / root(n - 2)) : 0];
    });
  }
  return g;
}

// g_0 = first(s), g_n = (α + β s) g_{n-1} + γ g_{n-2}, where γ = 0 for n = 1.
function threeTerms(g, N, s, first, terms) {
  const P = s.length;
  for (let p = 0; p < P; p++) g[p] = first(s[p]);
  for (let n = 1; n < N; n++) {
    const [alpha, beta, gamma] = terms(n);
    const before = n > 1 ? 2 * P : P;
    for (let p = 0, at = n * P; p < P; p++, at++) g[at] = (alpha + beta * s[p]) * g[at - P] + gamma * g[at - before];
  }
}

// 1, then √2 times cosines and sines, of one turn a window more from pair to pair; of an even N the last cosine is alone.
function turns(g, s) {
  const P = s.length;
  for (let p = 0; p < P; p++) {
    const [cosine, sine] = [Math.cos(TAU * s[p]), Math.sin(TAU * s[p])];
    let [x, y] = [Math.SQRT2, 0];
    g[p] = 1;
    for (let at = p + P; at < g.length; at += 2 * P) {
      const turned = x * cosine - y * sine;
      y = x * sine + y * cosine;
      x = turned;
      g[at] = x;
      if (at + P < g.length) g[at + P] = y;
    }
  }
}

// The remembered function at the P points of the basis: eq. 4.2.
function reconstruct(c, g) {
  const P = g.length / c.length;
  const values = new Float64Array(P);
  for (let n = 0; n < c.length; n++) for (let p = 0, at = n * P; p < P; p++, at++) values[p] += c[n] * g[at];
  return values;
}

// Root mean square of what the memory has wrong, over the points that are not before the signal's start. The signal is the
// line that is drawn, straight from the middle of a sample to the next.
function rootMeanSquareError(f, seen, windows, s, values) {
  let [sum, count] = [0, 0];
  for (let p = 0; p < s.length; p++) {
    const time = seen - windows * s[p] * f.length; // in samples
    if (time < 0) break;
    const middle = Math.min(Math.max(time - 0.5, 0), seen - 1);
    const i = Math.min(Math.floor(middle), Math.max(seen - 2, 0));
    const drawn = seen > 1 ? f[i] + (middle - i) * (f[i + 1] - f[i]) : f[0];
    sum += (values[p] - drawn) ** 2;
    count += 1;
  }
  return Math.sqrt(sum / count);
}

// -------------------------------------------------------------------------------------------------------- 2 signals

const bell = (t, middle, width) => Math.exp(-(((t - middle) / width) ** 2));
const wave = (cycles) => Math.sin(TAU * cycles);

// Signals to begin with, as functions of t from 0 to 1.
const PRESETS = {
  two_tones: { name: "Two tones", at: (t) => 0.6 * wave(2 * t) + 0.3 * wave(9 * t) },
  step: { name: "Step", at: (t) => (t < 0.35 ? -0.6 : 0.6) },
  chirp: { name: "Chirp", at: (t) => 0.8 * wave(t + 9 * t * t) },
  noise: { // harmonics 1 to 12 with phases that have no pattern
    name: "Band-limited noise",
    at: (t) => {
      let sum = 0;
      for (let m = 1; m <= 12; m++) sum += wave(m * t + ((m * m * 0.6180339887498949) % 1));
      return 0.19 * sum;
    },
  },
  heartbeat: {
    name: "Heartbeat",
    at: (t) => [0.2, 0.7].reduce((sum, beat) =>
      sum + 0.12 * bell(t, beat - 0.09, 0.025) - 0.15 * bell(t, beat - 0.017, 0.008) + 0.95 * bell(t, beat, 0.01) - 0.25 * bell(t, beat + 0.019, 0.009) + 0.25 * bell(t, beat + 0.13, 0.04), 0),
  },
  flat: { name: "Nothing: an empty sheet", at: () => 0 },
};

// Each sample is the signal in the middle of the time over which it holds.
const preset = (name, samples) => Float64Array.from({ length: samples }, (_, i) => PRESETS[name].at((i + 0.5) / samples));

export const math = {
  coefficients, basis, reconstruct, rootMeanSquareError, preset,
};

// ---------------------------------------------------------------------------------------------------------- 3 words

// A measure's name, how its curve is drawn, and what it remembers; color is its place in the panel's series.
const MEASURES = {
  legs: { name: "LegS", color: 0, kind: "", dash: [], what: () => "the whole history" },
  legt: { name: "LegT", color: 1, kind: "dashed", dash: [9, 4], what: (theta) => `the last ${number(theta)}` },
  lagt: { name: "LagT", color: 2, kind: "dotted", dash: [2, 3], what: (theta) => `the past, fading over ${number(theta)}` },
  fourier: { name: "Fourier", color: 3, kind: "dashdot", dash: [9, 3, 2, 3], what: (theta) => `the last ${number(theta)}` },
};
const ALL = Object.keys(MEASURES);

const DEFAULTS = { preset: "two_tones", order: 16, theta: 0.25, time: 410, measures: ALL };
const SAMPLES = 512;

const clock = (seen, samples) => (seen / samples).toFixed(3);
const errorText = (error) => (error < 0.0005 ? "< 0.001" : error.toFixed(3));

function describeAll(state, shown) {
  const { signal, time, order, theta } = state;
  const name = state.preset === "custom" ? "A signal of your own" : PRESETS[state.preset].name.replace(/:.*/, "");
  const told = shown.map(({ measure, error }) => `${MEASURES[measure].name}, which remembers ${MEASURES[measure].what(theta)}, errs by ${errorText(error)}`);
  return [
    `${name}, seen up to time ${clock(time, signal.length)} of 1, in ${order} coefficient${order === 1 ? "" : "s"} each.`,
    told.length ? `Root mean square error: ${told.join("; ")}.` : "No measure is shown.",
  ].join(" ");
}

// -------------------------------------------------------------------------------------------------- 4 what is shown

const POINTS = 256; // of a reconstruction, or a few more
const MOMENTS = 64; // at which the error is drawn

// The times ago, in windows, at which a reconstruction is drawn and held against the signal: evenly spaced over what can have
// been seen, and where the window is fixed, in the middles of equal parts of each sample.
function pointsAgo(measure, theta, samples) {
  if (measure === "legs") return Float64Array.from({ length: POINTS }, (_, p) => (p + 0.5) / POINTS);
  const length = samples * (measure === "lagt" ? 1 : Math.min(theta, 1)); // Laguerre's window has no end but the signal's start
  const parts = Math.ceil(POINTS / length);
  const s = new Float64Array(Math.max(1, Math.round(length * parts)));
  for (let p = 0; p < s.length; p++) s[p] = (p + 0.5) / parts / samples / theta;
  return s;
}

// What a measure remembers. What one frame computed, the next ones find: all that depends on order and window alone (LegS has
// none), and the coefficients before the first sample that has changed.
class Memory {
  constructor(measure) {
    this.measure = measure;
    this.made = "";
    this.room = new Float64Array(0); // for the basis, which is new in every frame while the window changes
  }

  prepare({ order, theta, signal }) {
    const made = [order, this.measure === "legs" ? "" : theta, signal.length].join();
    if (made === this.made) return;
    this.made = made;
    this.s = pointsAgo(this.measure, theta, signal.length);
    const size = order * this.s.length;
    if (this.room.length < size) this.room = new Float64Array(size);
    this.basis = basis(this.measure, order, this.s, this.room.subarray(0, size));
    this.step = stepOf(this.measure, order, 1 / signal.length / theta);
    this.kept = [new Float64Array(order)];
  }

  // The signal is another from sample i on.
  forget(i) {
    this.kept?.splice(1 + Math.floor(i / EVERY));
  }

  coefficients(state, seen = state.time) {
    this.prepare(state);
    return follow(this.step, state.signal, seen, this.kept);
  }

  // The window in the units of time in which the signal lasts 1.
  window({ signal, theta }, seen) {
    return this.measure === "legs" ? seen / signal.length : theta;
  }

  look(state, seen = state.time) {
    const c = this.coefficients(state, seen);
    const window = this.window(state, seen);
    const values = reconstruct(c, this.basis);
    const error = rootMeanSquareError(state.signal, seen, window, this.s, values);
    return { measure: this.measure, s: this.s, c, window, values, error };
  }
}

const moments = (samples) => Array.from({ length: MOMENTS }, (_, i) => Math.ceil(((i + 1) * samples) / MOMENTS));

// ---------------------------------------------------------------------------------------------------------- 5 plots

const MARGIN = 48; // left of every plot, wide enough for "Fourier"
const LANE = 12; // pixels in which a weight is shaded
const ERRORS = [1e-3, 3];

const tallest = (signal) => signal.reduce((most, value) => Math.max(most, Math.abs(value)), 1.2);

function drawSignal(plot, state, shown, style) {
  const { signal, time } = state;
  const samples = signal.length;
  const top = tallest(signal);
  const lanes = LANE * ALL.length + 6;
  const low = -top - (2 * top * lanes) / Math.max(plot.height - 38 - lanes, 1); // room beneath for the weights
  const yTicks = linearTicks(-top, top, 4);
  const now = time / samples;
  const middles = signal.map((_, i) => (i + 0.5) / samples);
  const curve = (from, to, color, width) => plot.line(middles.subarray(from, to), signal.subarray(from, to), color, { width, whole: true });
  const memory = ({ measure, s, window, values }) => {
    const { color, dash } = MEASURES[measure];
    const times = s.map((ago) => now - window * ago);
    const beginning = times.findIndex((t) => t < 0); // of the signal
    plot.line(beginning < 0 ? times : times.subarray(0, beginning), values, style.series[color], { dash });
  };
  const [resting, moving] = [true, false].map((rests) => shown.filter(({ measure }) => (measure === "legs") === rests)); // while the window changes
  const axes = { x: [0, 1], y: [low, top], xTicks: linearTicks(0, 1, 5), yTicks, xLabel: "time", margin: MARGIN };
  plot.begin(axes, style, {
    name: [state.version, time, resting.length && state.order].join(),
    rests() {
      curve(Math.max(0, time - 1), samples, style.future, 1.5);
      curve(0, time, style.past, 4);
      resting.forEach(memory);
    },
  });
  moving.forEach(memory);
  for (const { measure, window } of shown) drawWeight(plot, measure, now, window, style);
  plot.line([now, now], [low, top], style.text, { width: 1.5 });
  plot.end();
  const c = plot.context;
  c.fillStyle = style.text;
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (const { measure } of shown) c.fillText(MEASURES[measure].name, MARGIN - 5, laneOf(plot, measure) + LANE / 2);
}

const laneOf = (plot, measure) => plot.box.bottom - LANE * (ALL.length - ALL.indexOf(measure));

// How much each time ago weighs: evenly over the window, or as e^-s, which Laguerre's functions carry in themselves.
function drawWeight(plot, measure, now, window, style) {
  const c = plot.context;
  const bottom = laneOf(plot, measure) + LANE;
  const height = LANE - 2;
  const color = style.series[MEASURES[measure].color];
  const end = Math.max(0, now - window);
  c.beginPath();
  c.moveTo(plot.x(now), bottom);
  if (measure === "lagt") {
    for (let p = 0; p <= 60; p++) c.lineTo(plot.x(now * (1 - p / 60)), bottom - height * Math.exp((-now * p) / 60 / window));
    c.lineTo(plot.x(0), bottom);
  } else {
    c.lineTo(plot.x(now), bottom - height);
    c.lineTo(plot.x(end), bottom - height);
    c.lineTo(plot.x(end), bottom);
  }
  c.closePath();
  c.fillStyle = faded(color, 45);
  c.fill();
  plot.stroke(color, 1);
}

function drawCoefficients(plot, state, shown, style) {
  const { order } = state;
  const lanes = Math.max(shown.length, 1);
  const lane = (i) => lanes - i - 0.5; // the first measure on top
  plot.begin({
    x: [-0.5, order - 0.5], y: [0, lanes], xTicks: linearTicks(0, order - 1 || 1).filter(([n]) => Number.isInteger(n) && n < order),
    yTicks: shown.map(({ measure }, i) => [lane(i), MEASURES[measure].name]), xLabel: "coefficient n", margin: MARGIN,
  }, style);
  const c = plot.context;
  const most = longest(shown);
  const width = Math.max(1.5, Math.min(14, 0.7 * (plot.x(1) - plot.x(0))));
  shown.forEach(({ measure, c: coefficients }, i) => {
    c.fillStyle = style.series[MEASURES[measure].color];
    const zero = plot.y(lane(i));
    coefficients.forEach((value, n) => c.fillRect(plot.x(n) - width / 2, zero, width, plot.y(lane(i) + (0.46 * value) / (most || 1)) - zero));
  });
  c.fillStyle = style.text;
  c.textAlign = "right";
  c.textBaseline = "top";
  c.fillText(`longest bar: ${number(most)}`, plot.box.right - 4, plot.box.top);
  plot.end();
}

const longest = (shown) => shown.reduce((most, { c }) => c.reduce((m, value) => Math.max(m, Math.abs(value)), most), 0);

function drawErrors(plot, state, shown, history, stale, style) {
  const samples = state.signal.length;
  const held = (value) => Math.min(Math.max(value, ERRORS[0]), ERRORS[1]);
  const times = moments(samples).map((seen) => seen / samples);
  const axes = { x: [0, 1], y: ERRORS, logY: true, xTicks: linearTicks(0, 1, 5), yTicks: decadeTicks(...ERRORS), xLabel: "time", margin: MARGIN };
  plot.begin(axes, style, {
    name: [history.version, stale, ...shown.map(({ measure }) => measure)].join(),
    rests() {
      for (const { measure } of shown) {
        const { color, dash } = MEASURES[measure];
        if (history[measure]) plot.line(times, history[measure].map(held), stale ? faded(style.series[color], 30) : style.series[color], { dash, whole: true });
      }
    },
  });
  const now = state.time / samples;
  for (const { measure, error } of shown) plot.dot(now, held(error), 4.5, style.series[MEASURES[measure].color]);
  plot.line([now, now], ERRORS, style.text, { width: 1.5 });
  plot.end();
}

// ----------------------------------------------------------------------------------------------------------- 6 page

const STYLE = `
.function-explorer .key.dashdot::before { border-top: 0; height: 3px; background: repeating-linear-gradient(to right, var(--color) 0 .55em, transparent .55em .75em, var(--color) .75em .9em, transparent .9em 1.1em); }
.function-explorer .measures .key { margin: 0; }
.function-explorer .measures b { min-width: 3.3em; }
.function-explorer .over { position: relative; }
.function-explorer .signal canvas { height: 300px; flex-basis: 300px; touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }
.function-explorer .coefficients canvas { height: 210px; flex-basis: 210px; }
.function-explorer .pen { position: absolute; left: -7px; top: -7px; width: 14px; height: 14px; border: 2px solid var(--panel-text); border-radius: 50%; background: color-mix(in srgb, var(--panel-text) 20%, transparent); pointer-events: none; outline: none; }
.function-explorer .pen:focus-visible { box-shadow: 0 0 0 3px var(--panel-2); }
.function-explorer .clock { display: block; margin-inline: ${MARGIN - 8}px 6px; font-size: 1em; }
.function-explorer .clock input { display: block; width: 100%; }
.function-explorer .player { margin: .2em 0 0; justify-content: center; align-items: center; }
.function-explorer .player button { min-width: 5.2em; }
.function-explorer .player output { margin: 0; }
@container (min-width: 600px) {
  .function-explorer .panels { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .function-explorer .signal { grid-column: 1 / -1; }
}`;

const SLIDER = {
  order: { label: "order N", name: "order N, number of coefficients", min: 1, max: MOST_ORDER, step: 1, toSlider: (n) => n, fromSlider: (n) => n, text: String },
  theta: { label: "window θ", name: "window theta", min: -1.7, max: 0, step: 0.02, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(3)), text: (theta) => number(theta) },
};

const check = (measure) => {
  const { name, kind, color } = MEASURES[measure];
  return `<label class="check"><input type="checkbox" name="${measure}">${key(kind, `panel-${color + 1}`, name)} <b data-error="${measure}"></b></label>`;
};

const CONTROLS = `
<fieldset class="parameters"><legend>Signal and memory</legend>
  <label>Signal<select name="preset">${choices([...Object.entries(PRESETS).map(([value, { name }]) => [value, name]), ["custom", "Drawn by hand"]])}</select></label>
  ${Object.entries(SLIDER).map(([name, scale]) => slider(name, scale)).join("")}
</fieldset>
<fieldset class="measures"><legend>Measures, with the error of each now</legend>${ALL.map(check).join("")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>The signal lasts 1 and each of its samples holds until the next. Bold and gray: what has been seen up to now; thin: what is still to come.</li>
  <li>Each memory holds N coefficients c<sub>n</sub> and nothing else. Its curve is what they tell of the past, f(t − θs) ≈ Σ c<sub>n</sub> g<sub>n</sub>(s), s windows ago.</li>
  <li>Shaded beneath, how much each time ago weighs. LegS: the whole history evenly, so its window grows. LegT and Fourier: the last θ evenly. LagT: e<sup>−s</sup>, the weight that its functions g<sub>n</sub> = e<sup>−s/2</sup> L<sub>n</sub>(s) carry in themselves.</li>
  <li>LegS steps by the bilinear rule with 1/t taken where it stands; the others by (I − A/2 · dt/θ)<sup>−1</sup>(I + A/2 · dt/θ), a matrix that never changes. All start from nothing, as if the signal had been 0 before. With an even N, Fourier has a last cosine without its sine.</li>
  <li>Error: root mean square of signal minus reconstruction over the window (LagT: over all that was seen), in the units of the signal, at evenly spaced times, the signal taken as the line that is drawn; the plot shows it at ${MOMENTS} moments, and from ${ERRORS[0]} to ${ERRORS[1]}.</li>
</ul></details>`;

const PLAYER = `
<label class="clock"><input type="range" name="time" aria-label="time" min="1" step="1"></label>
<fieldset class="player"><legend>Time</legend>
  <button type="button" name="play">Play</button><span class="now"></span>
</fieldset>
<p class="hint">Draw on the sheet. <span class="keys">Keys on the pen: left and right move it, up and down lift or lower the curve there (Shift: farther).</span></p>`;

// --------------------------------------------------------------------------------------------------------- 7 render

const SHARED = ["preset", "order", "theta", "time", "measures"]; // with the signal: what the model holds and is followed in
const PLAY_SECONDS = 8;
const KNOTS = 32; // the pen stands in this many places, and lifts the curve up to its neighbors

function render({ model, el }) {
  const panel = new Panel(el, { name: "function-explorer", controls: CONTROLS, style: STYLE, draw });
  const field = (name) => panel.field(name);
  const plots = {
    signal: new Plot(panel.figures, "signal", "<strong>Signal, and what is remembered of it</strong>"),
    coefficients: new Plot(panel.figures, "coefficients", "<strong>Coefficients now</strong>"),
    errors: new Plot(panel.figures, "errors", "<strong>Error as time passes</strong>"),
  };
  const sheet = plots.signal.canvas;
  const pen = document.createElement("span");
  pen.className = "pen";
  const over = document.createElement("div"); // begins where the sheet does
  over.className = "over";
  over.append(pen);
  sheet.before(over);
  for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-label": "Pen", "aria-orientation": "vertical", [OUR_KEYS[0]]: OUR_KEYS[1] })) pen.setAttribute(name, value);
  plots.signal.figure.insertAdjacentHTML("beforeend", PLAYER);
  const memories = Object.fromEntries(ALL.map((measure) => [measure, new Memory(measure)]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const state = { signal: preset(DEFAULTS.preset, SAMPLES), version: 0, pen: SAMPLES / 4 };
  let history = {};
  let playing = null; // the time at which playing was at state.time = 0

  // ---- drawing

  const visible = () => ALL.filter((measure) => state.measures.includes(measure));
  const version = () => [state.version, state.order, state.theta, ...visible()].join();

  function draw() {
    if (playing !== null) advance();
    const shown = visible().map((measure) => memories[measure].look(state));
    const stale = history.version !== version();
    if (plots.signal.width > 0) {
      drawSignal(plots.signal, state, shown, roles(panel.style));
      drawCoefficients(plots.coefficients, state, shown, panel.style);
      drawErrors(plots.errors, state, shown, history, stale, panel.style);
      placePen();
    }
    showControls(); // after the plots: text in them would wait for the page's layout
    field("time").value = state.time;
    field("time").setAttribute("aria-valuetext", `time ${clock(state.time, state.signal.length)} of 1`);
    panel.tell(".now", `t = ${clock(state.time, state.signal.length)}`);
    for (const measure of ALL) {
      const found = shown.find((memory) => memory.measure === measure);
      panel.tell(`[data-error="${measure}"]`, found ? errorText(found.error) : "");
    }
    return playing === null && (() => rest(shown, stale));
  }

  function rest(shown, stale) {
    if (stale) takeHistory();
    panel.say(describeAll(state, shown));
    const { signal, time, order } = state;
    const label = (plot, words) => plot.canvas.setAttribute("aria-label", words);
    const names = shown.map(({ measure }) => MEASURES[measure].name).join(", ") || "nothing";
    label(plots.signal, `The signal, seen up to time ${clock(time, signal.length)} of 1, and over it what is remembered by ${names}.`);
    label(plots.coefficients, `The ${order} coefficients of each measure; the longest bar stands for ${number(longest(shown))}.`);
    label(plots.errors, `Error as time passes, at the end ${shown.map(({ measure }) => `${MEASURES[measure].name} ${errorText(history[measure].at(-1))}`).join(", ") || "of nothing, 0"}.`);
  }

  function takeHistory() {
    history = { version: version() };
    for (const measure of visible()) history[measure] = moments(state.signal.length).map((seen) => memories[measure].look(state, seen).error);
    panel.schedule();
  }

  function placePen() {
    const { signal } = plots;
    const i = state.pen;
    const value = state.signal[i];
    const time = (i + 0.5) / state.signal.length;
    pen.style.transform = `translate(${signal.x(time)}px, ${signal.y(value)}px)`;
    const top = tallest(state.signal);
    for (const [name, at] of Object.entries({ valuemin: -top, valuemax: top, valuenow: value })) pen.setAttribute(`aria-${name}`, at.toFixed(3));
    pen.setAttribute("aria-valuetext", `time ${time.toFixed(3)}, height ${value.toFixed(2)}`);
  }

  function showControls() {
    if (field("preset").value !== state.preset) field("preset").value = state.preset; // its list may be open
    for (const [name, scale] of Object.entries(SLIDER)) panel.writeSlider(name, scale, state[name]);
    for (const measure of ALL) field(measure).checked = state.measures.includes(measure);
    field("time").max = state.signal.length;
    panel.tell("[name=play]", playing === null ? "Play" : "Pause");
  }

  // ---- state

  function share() {
    const held = Object.fromEntries(SHARED.map((name) => [name, state[name]]));
    const coefficients = Object.fromEntries(visible().map((measure) => [measure, Array.from(memories[measure].coefficients(state))]));
    panel.share(model, { ...held, signal: state.shared, coefficients });
  }

  function takeSignal(signal, name) {
    const samples = state.signal.length;
    state.signal = signal;
    state.preset = name;
    state.time = Math.min(state.time, signal.length);
    if (samples !== signal.length) state.pen = Math.round(((state.pen + 0.5) * signal.length) / samples - 0.5);
    changed(0);
    settleSignal();
  }

  // The signal is another from sample i on.
  function changed(i) {
    state.version += 1;
    for (const memory of Object.values(memories)) memory.forget(i);
  }

  // The signal that the model holds is a copy, made when the hand lets go.
  function settleSignal() {
    state.shared = Array.from(state.signal);
  }

  function fromModel() {
    for (const name of SHARED) state[name] = model.get(name) ?? DEFAULTS[name];
    const given = model.get("signal") ?? [];
    takeSignal(given.length ? Float64Array.from(given) : preset(state.preset, SAMPLES), state.preset);
    panel.schedule();
  }

  function byHand(i) {
    changed(i);
    state.preset = "custom";
    panel.schedule();
  }

  // ---- pen

  // The sample and the height under a pointer, held inside the sheet.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { left, right } = plots.signal.box;
    const samples = state.signal.length;
    const top = tallest(state.signal);
    const [high, low] = [plots.signal.y(top), plots.signal.y(-top)];
    const across = (clientX - frame.left - left) / (right - left);
    const up = (clientY - frame.top - low) / (high - low);
    const held = (value, most) => Math.min(Math.max(value, 0), most);
    return [held(Math.floor(across * samples), samples - 1), top * (2 * held(up, 1) - 1)];
  }

  const near = (touch) => {
    const [i, value] = place(touch);
    return Math.abs(plots.signal.y(value) - plots.signal.y(state.signal[i])) < 30;
  };

  let last = null; // where the pen was
  let before = null; // the signal before it was lifted
  function trace([i, value]) {
    const [from, height] = last;
    const many = Math.abs(i - from);
    for (let step = many ? 1 : 0; step <= many; step++) {
      const share = many ? step / many : 1;
      state.signal[from + step * Math.sign(i - from)] = height + share * (value - height);
    }
    last = [i, value];
    state.pen = i;
    byHand(Math.min(from, i));
  }

  let onCurve = false;
  panel.drag(sheet, {
    grab: (event) => {
      onCurve = near(event);
      before = { signal: state.signal.slice(), preset: state.preset };
      pen.focus({ preventScroll: true });
      last = place(event);
      trace(last);
      return true;
    },
    move: (event) => {
      for (const part of event.getCoalescedEvents?.() ?? []) trace(place(part));
      trace(place(event));
    },
    drop: (event) => {
      if (event.type === "pointercancel") { // the finger went on to scroll the page
        takeSignal(before.signal, before.preset);
      } else settleSignal();
      panel.schedule();
      share();
    },
    holds: () => onCurve, // elsewhere a finger that moves up or down scrolls the page
  });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const samples = state.signal.length;
    const spacing = Math.max(1, Math.round(samples / KNOTS));
    const many = event.shiftKey ? 4 : 1;
    const along = { ArrowLeft: -many * spacing, ArrowRight: many * spacing, Home: -samples, End: samples }[event.key];
    const up = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.2, PageDown: -0.2 }[event.key];
    if (along !== undefined) {
      state.pen = Math.min(Math.max(state.pen + along, 0), samples - 1);
      panel.schedule();
    } else if (up !== undefined) {
      const top = tallest(state.signal);
      const first = Math.max(0, state.pen - spacing);
      for (let i = first; i <= Math.min(samples - 1, state.pen + spacing); i++) {
        const raised = state.signal[i] + many * up * (1 - Math.abs(i - state.pen) / (spacing + 1));
        state.signal[i] = Math.min(Math.max(raised, -top), top);
      }
      byHand(first);
      settleSignal();
      share();
    } else return;
    event.preventDefault();
  });

  // ---- time

  // Playing goes from the first sample to the last; where motion is not welcome, in sixteen still pictures.
  function advance() {
    const samples = state.signal.length;
    const passed = (performance.now() - playing) / 1000 / PLAY_SECONDS;
    const part = calm.matches ? Math.floor(16 * passed) / 16 : passed;
    state.time = Math.min(Math.max(Math.round(part * samples), 1), samples);
    if (state.time === samples) pause();
    else panel.schedule();
  }

  function pause() {
    if (playing === null) return;
    playing = null;
    panel.schedule();
    share();
  }

  panel.listen(field("play"), "click", () => {
    if (playing !== null) pause();
    else {
      const samples = state.signal.length;
      const start = state.time === samples ? 0 : state.time / samples;
      playing = performance.now() - 1000 * PLAY_SECONDS * start;
      if (history.version !== version()) takeHistory();
      panel.schedule();
    }
    showControls(); // the button says at once what it does next
  });
  panel.listen(field("time"), "input", () => {
    playing = null;
    state.time = Number(field("time").value);
    panel.schedule();
  });

  // ---- controls

  panel.listen(field("preset"), "change", () => {
    if (field("preset").value === "custom") state.preset = "custom";
    else takeSignal(preset(field("preset").value, SAMPLES), field("preset").value);
    panel.schedule();
    share();
  });
  for (const [name, { fromSlider }] of Object.entries(SLIDER)) {
    panel.listen(field(name), "input", () => {
      state[name] = fromSlider(Number(field(name).value));
      panel.schedule();
    });
  }
  for (const name of ["time", ...Object.keys(SLIDER)]) panel.listen(field(name), "change", share); // once it is let go
  for (const measure of ALL) {
    panel.listen(field(measure), "change", () => {
      state.measures = ALL.filter((name) => field(name).checked);
      panel.schedule();
      share();
    });
  }

  panel.settle(Object.values(plots));
  panel.follow(model, [...SHARED, "signal"], fromModel);
  fromModel();
  return () => panel.leave();
}

// What the colors of the panel stand for here.
const roles = (style) => ({ ...style, past: faded(style.text, 30), future: faded(style.text, 45) });

export default { render };
