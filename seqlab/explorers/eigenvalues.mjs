// The eigenvalue explorer: drag the eigenvalues of a diagonal linear recurrence h_t = λ h_{t-1} + u_t about the unit disk
// and see what they do. It has two hosts: the website (host.mjs) and, through anywidget, a notebook.
//
// 1 mathematics (held to seqlab/nn/eigenvalues.py by golden vectors) · 2 words · 3 plots · 4 disk · 5 page · 6 render

import {
  OUR_KEYS, Panel, Plot, choices, complex, decadeTicks, faded, fromFormula, fromMiddle, fromPairs, joined, key, linearTicks, number, plural,
  slider, svgElement, toPairs, without,
} from "./panel.mjs";

// ---------------------------------------------------------------------------------------------------- 1 mathematics
// A set of N modes is {re, im}, as panel.mjs has it. Discrete eigenvalues unless a name says continuous.

const TAU = 2 * Math.PI;
const modulus = ({ re, im }, n) => Math.hypot(re[n], im[n]);
const phase = ({ re, im }, n) => Math.atan2(im[n], re[n]);

// The generator mulberry32: small, seeded, and the same in Python, so that one seed means one picture.
function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Box and Muller: each pair of uniform numbers gives a pair of independent normal ones.
function normals(uniform, count) {
  const values = new Float64Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    const angle = TAU * uniform();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

// |λ|² uniform between r_min² and r_max², phase uniform between 0 and max_phase: uniform by area on the ring.
function ring(u1, u2, rMin, rMax, maxPhase) {
  const drawn = complex(u1.length);
  for (let n = 0; n < u1.length; n++) {
    const radius = Math.sqrt(u1[n] * (rMax ** 2 - rMin ** 2) + rMin ** 2);
    drawn.re[n] = radius * Math.cos(maxPhase * u2[n]);
    drawn.im[n] = radius * Math.sin(maxPhase * u2[n]);
  }
  return drawn;
}

const real = (u1, rMin, rMax) => ring(u1, new Float64Array(u1.length), rMin, rMax, 0);

// S4D keeps one eigenvalue of each conjugate pair: size modes stand for N = 2 size states, n = 0 .. N/2 - 1.
const s4dLin = (size) => fromFormula(size, () => -0.5, (n) => Math.PI * n);
const s4dInv = (size) => fromFormula(size, () => -0.5, (n) => ((2 * size) / Math.PI) * ((2 * size) / (2 * n + 1) - 1));
const s4dReal = (size) => fromFormula(size, (n) => -(n + 1), () => 0);

// The normal part of HiPPO-LegS is -I/2 + S, S skew with entries ∓ sqrt((2n+1)(2k+1))/2. Its eigenvalues ±iμ need no matrix:
// with d_n = Σ_{k<n} v_k x_k - (half of the full sum) and v_n² = 2n+1, S x = iμ x becomes d_{n+1} = d_n (2iμ - v_n²)/(2iμ + v_n²),
// N turns of the unit circle that must end at -d_0. That is  Σ_n arctan(2μ/(2n+1)) = (m + 1/2) π,  m = 0 .. N/2 - 1.
// The left side is concave in μ, so Newton's steps from the last root climb to the next one without passing it.
function hippoLegsNormal(size) {
  const frequencies = new Float64Array(size);
  let mu = 0;
  for (let m = 0; m < size; m++) {
    for (;;) {
      let angle = -(m + 0.5) * Math.PI;
      let slope = 0;
      for (let odd = 1; odd < 4 * size; odd += 2) {
        angle += Math.atan2(2 * mu, odd);
        slope += (2 * odd) / (odd * odd + 4 * mu * mu);
      }
      const next = mu - angle / slope;
      if (next <= mu) break;
      mu = next;
    }
    frequencies[m] = mu;
  }
  return { re: new Float64Array(size).fill(-0.5), im: frequencies };
}

function discretize(continuous, dt, method) {
  const sampled = complex(continuous.re.length);
  for (let n = 0; n < continuous.re.length; n++) {
    const x = dt * continuous.re[n];
    const y = dt * continuous.im[n];
    if (method === "zoh") {
      sampled.re[n] = Math.exp(x) * Math.cos(y);
      sampled.im[n] = Math.exp(x) * Math.sin(y);
    } else { // (1 + z/2) / (1 - z/2)
      const scale = (1 - x / 2) ** 2 + (y / 2) ** 2;
      sampled.re[n] = ((1 + x / 2) * (1 - x / 2) - (y / 2) ** 2) / scale;
      sampled.im[n] = y / scale;
    }
  }
  return sampled;
}

const glorotMatrix = (uniform, size) => normals(uniform, size * size).map((value) => value / Math.sqrt(size));

// Eigenvalues of a real matrix (size x size, by rows): reflections to Hessenberg form, then Francis's double-shift QR steps.
function matrixEigenvalues(matrix, size) {
  const H = Float64Array.from(matrix);
  for (let k = 0; k < size - 2; k++) reflectBelow(H, size, k);
  const found = complex(size);
  let steps = 0;
  for (let last = size - 1; last >= 0; ) {
    let first = last; // the unreduced block first..last at the bottom
    while (first > 0 && !negligible(H, size, first)) first--;
    if (first === last) {
      found.re[last] = H[last * size + last];
      last -= 1;
      steps = 0;
    } else if (first === last - 1) {
      pairEigenvalues(H, size, first, found);
      last -= 2;
      steps = 0;
    } else {
      if (++steps > 60) throw new Error("the QR iteration did not converge");
      francisStep(H, size, first, last, steps % 10 === 0);
    }
  }
  return found;
}

function negligible(H, size, k) {
  const below = Math.abs(H[k * size + k - 1]);
  return below <= Number.EPSILON * (Math.abs(H[(k - 1) * size + k - 1]) + Math.abs(H[k * size + k]));
}

// Make column k zero below its subdiagonal by a reflection I - β v vᵀ, applied from both sides.
function reflectBelow(H, size, k) {
  const v = new Float64Array(size);
  let norm = 0;
  for (let i = k + 1; i < size; i++) norm = Math.hypot(norm, (v[i] = H[i * size + k]));
  if (norm === 0) return;
  v[k + 1] += v[k + 1] < 0 ? -norm : norm;
  const beta = 1 / (norm * Math.abs(v[k + 1]));
  const row = new Float64Array(size);
  for (let i = k + 1; i < size; i++) for (let j = k; j < size; j++) row[j] += v[i] * H[i * size + j];
  for (let i = k + 1; i < size; i++) for (let j = k; j < size; j++) H[i * size + j] -= beta * v[i] * row[j];
  for (let i = 0; i < size; i++) {
    let dot = 0;
    for (let j = k + 1; j < size; j++) dot += H[i * size + j] * v[j];
    for (let j = k + 1; j < size; j++) H[i * size + j] -= beta * dot * v[j];
  }
}

// One implicit QR step with both eigenvalues of the last 2 x 2 block as shifts. Only the block is needed for eigenvalues.
function francisStep(H, size, first, last, exceptional) {
  const at = (i, j) => H[i * size + j];
  let trace = at(last - 1, last - 1) + at(last, last);
  let determinant = at(last - 1, last - 1) * at(last, last) - at(last - 1, last) * at(last, last - 1);
  if (exceptional) { // an arbitrary shift breaks a cycle
    const scale = Math.abs(at(last, last - 1)) + Math.abs(at(last - 1, last - 2));
    trace = 1.5 * scale;
    determinant = scale * scale;
  }
  let x = at(first, first) * (at(first, first) - trace) + at(first, first + 1) * at(first + 1, first) + determinant;
  let y = at(first + 1, first) * (at(first, first) + at(first + 1, first + 1) - trace);
  let z = at(first + 1, first) * at(first + 2, first + 1);
  for (let k = first; k < last; k++) {
    const three = k < last - 1; // the last reflection is of two rows
    if (!three) z = 0;
    const norm = Math.hypot(x, y, z) * (x < 0 ? -1 : 1);
    if (norm !== 0) {
      const [v0, v1, v2] = [(x + norm) / norm, y / norm, z / norm];
      const beta = 1 / v0;
      for (let j = Math.max(first, k - 1); j <= last; j++) {
        const i = k * size + j;
        const dot = beta * (v0 * H[i] + v1 * H[i + size] + (three ? v2 * H[i + 2 * size] : 0));
        H[i] -= dot * v0;
        H[i + size] -= dot * v1;
        if (three) H[i + 2 * size] -= dot * v2;
      }
      for (let row = first; row <= Math.min(k + 3, last); row++) {
        const i = row * size + k;
        const dot = beta * (v0 * H[i] + v1 * H[i + 1] + (three ? v2 * H[i + 2] : 0));
        H[i] -= dot * v0;
        H[i + 1] -= dot * v1;
        if (three) H[i + 2] -= dot * v2;
      }
    }
    if (k < last - 1) [x, y, z] = [at(k + 1, k), at(k + 2, k), k < last - 2 ? at(k + 3, k) : 0];
  }
}

// Both eigenvalues of the 2 x 2 block at k, k+1.
function pairEigenvalues(H, size, k, found) {
  const [a, b, c, d] = [H[k * size + k], H[k * size + k + 1], H[(k + 1) * size + k], H[(k + 1) * size + k + 1]];
  const half = (a - d) / 2;
  const discriminant = half * half + b * c;
  if (discriminant < 0) {
    found.re[k] = found.re[k + 1] = d + half;
    found.im[k] = Math.sqrt(-discriminant);
    found.im[k + 1] = -found.im[k];
  } else { // the root of larger size first, the other from their product, so that nothing cancels
    const larger = half + (half < 0 ? -1 : 1) * Math.sqrt(discriminant);
    found.re[k] = d + larger;
    found.re[k + 1] = larger === 0 ? d : d - (b * c) / larger;
  }
}

// K_t = (1/N) Σ w_n Re λ_n^t, t = 0 .. length - 1.
function impulseResponse({ re, im }, length, weights) {
  const K = new Float64Array(length);
  for (let n = 0; n < re.length; n++) {
    const [c, s] = [re[n], im[n]];
    let x = weights[n] / re.length;
    let y = 0;
    for (let t = 0; t < length; t++) {
      K[t] += x;
      const turned = x * c - y * s;
      y = x * s + y * c;
      x = turned;
    }
  }
  return K;
}

// |H(e^{iω})|, H = Σ_t K_t e^{-iωt} = (1/N) Σ w_n/2 [1/(1 - λ_n e^{-iω}) + 1/(1 - conj(λ_n) e^{-iω})].
function magnitudeResponse({ re, im }, frequencies, weights) {
  return frequencies.map((omega) => {
    const c = Math.cos(omega);
    const s = Math.sin(omega);
    let x = 0;
    let y = 0;
    for (let n = 0; n < re.length; n++) {
      const bc = im[n] * c;
      const bs = im[n] * s;
      const even = 1 - re[n] * c;
      const odd = re[n] * s;
      const [p, q] = [even - bs, odd - bc]; // 1 - λ e^{-iω} = p + iq
      const [r, v] = [even + bs, odd + bc]; // 1 - conj(λ) e^{-iω} = r + iv
      const first = p * p + q * q;
      const second = r * r + v * v;
      const share = weights[n] / (2 * first * second); // one division for both fractions
      x += share * (p * second + r * first);
      y -= share * (q * second + v * first);
    }
    return Math.hypot(x, y) / re.length;
  });
}

const halfLife = (radius) => (radius < 1 ? Math.LN2 / -Math.log(radius) : Infinity);
const gamma = (radius) => Math.sqrt((1 - radius) * (1 + radius)); // NaN outside the disk: no stationary variance

// Root mean square and largest of |λ_n|^k: two norms of ∂h_{t+k}/∂h_t = diag(λ_n^k). A mode's powers at evenly spaced
// distances are each the one before times the same factor.
function gradientNorm(eigenvalues, distances) {
  const size = eigenvalues.re.length;
  const squares = new Float64Array(distances.length);
  let largestLog = -Infinity;
  for (let n = 0; n < size; n++) {
    const log = Math.log(modulus(eigenvalues, n));
    largestLog = Math.max(largestLog, log);
    let [power, factor, spacing] = [1, 1, 0];
    for (let i = 0; i < distances.length; i++) {
      const apart = distances[i] - (i && distances[i - 1]);
      if (apart !== spacing) [factor, spacing] = [apart === 0 ? 1 : Math.exp(apart * 2 * log), apart]; // 0^0 = 1
      power *= factor;
      squares[i] += power;
    }
  }
  return {
    rms: squares.map((sum) => Math.sqrt(sum / size)),
    largest: Float64Array.from(distances, (k) => (k === 0 ? 1 : Math.exp(k * largestLog))),
  };
}

// The modes a set of parameters stands for; the parameters are named as in Python.
function initialize({ initialization, state_size: size, r_min, r_max, max_phase, dt, method, seed }) {
  const uniform = uniforms(seed);
  const draw = () => Float64Array.from({ length: size }, uniform);
  if (initialization === "ring") return ring(draw(), draw(), r_min, r_max, max_phase);
  if (initialization === "real") return real(draw(), r_min, r_max);
  if (initialization === "glorot") return matrixEigenvalues(glorotMatrix(uniform, size), size);
  const continuous = { s4d_lin: s4dLin, s4d_inv: s4dInv, s4d_real: s4dReal, hippo_legs: hippoLegsNormal }[initialization];
  return discretize(continuous(size), dt, method);
}

export const math = {
  uniforms, normals, ring, real, s4dLin, s4dInv, s4dReal, hippoLegsNormal, discretize, glorotMatrix, matrixEigenvalues,
  impulseResponse, magnitudeResponse, halfLife, gamma, gradientNorm, initialize,
};

// ---------------------------------------------------------------------------------------------------------- 2 words

const INITIALIZATIONS = {
  ring: "LRU ring",
  glorot: "Dense Glorot matrix",
  real: "Real",
  s4d_lin: "S4D-Lin",
  s4d_inv: "S4D-Inv",
  s4d_real: "S4D-Real",
  hippo_legs: "HiPPO-LegS, normal part",
  custom: "Placed by hand",
};

const DEFAULTS = {
  initialization: "ring", state_size: 32, r_min: 0.9, r_max: 0.999, max_phase: TAU, dt: 0.01, method: "zoh", seed: 0,
  horizon: 200, normalize: false, selected: 0, eigenvalues: [],
};

const MOST_MODES = 256;
const LARGEST_RADIUS = 0.9999; // a point moved by hand stays inside the disk, where the LRU can start from it
const SMALLEST_RADIUS = 0.001;

const radiusText = (r) => (r > 0.99 && r < 1 ? r.toFixed(5).replace(/0$/, "") : r.toFixed(3));
const phaseText = (angle) => `${(angle / Math.PI).toFixed(3)} π`;
const steps = (count) => `${number(count)} step${number(count) === "1" ? "" : "s"}`;
const lifeText = (r) => (r < 1 ? `half-life ${steps(halfLife(r))}` : r === 1 ? "never fades" : "grows");

function describeMode(eigenvalues, n) {
  const radius = modulus(eigenvalues, n);
  const angle = Math.abs(phase(eigenvalues, n));
  const turn = angle > 1e-9 ? `one turn in ${steps(TAU / angle)}` : "does not turn";
  return `${lifeText(radius)}, ${turn}, ${radius < 1 ? `γ = ${number(gamma(radius))}` : "no γ outside the disk"}`;
}

function describeAll(state, shown) {
  const lives = shown.halfLives.toSorted();
  const outside = shown.radii.filter((r) => r >= 1).length;
  const last = shown.gradient.distances.length - 1;
  const n = state.selected;
  return [
    `${INITIALIZATIONS[state.initialization]}: ${plural(shown.radii.length, "mode")}, modulus ${radiusText(Math.min(...shown.radii))} to ${radiusText(Math.max(...shown.radii))}.`,
    `Half-lives run from ${number(lives[0])} to ${number(lives.at(-1))} steps, median ${number(lives[lives.length >> 1])}.`,
    outside ? `${plural(outside, "mode")} on or outside the circle ${outside === 1 ? "does" : "do"} not fade.${state.normalize ? " Having no γ, such modes are left out of the weighted curves." : ""}` : "",
    `After ${shown.gradient.distances[last]} steps a gradient keeps ${number(shown.gradient.rms[last])} of its size (root mean square), ${number(shown.gradient.largest[last])} in its longest-lived mode.`,
    `Selected mode ${n + 1}: modulus ${radiusText(shown.radii[n])}, phase ${phaseText(phase(state.modes, n))}, ${describeMode(state.modes, n)}.`,
  ].filter(Boolean).join(" ");
}

// ---------------------------------------------------------------------------------------------------------- 3 plots

const LIFE_RANGE = [0.1, 10000];
const LIFE_BINS = 25;
const GRADIENT_FLOOR = 1e-6;
const FAN = 48; // more lines than this only cost time

// Everything the plots show for one state. It is recomputed whole at every change: 256 modes cost a few milliseconds.
function compute(state) {
  const { modes: all, horizon } = state;
  const radii = all.re.map((_, n) => modulus(all, n));
  // Without γ every mode has weight 1. A mode outside the disk has no γ and is left out of curves that use it.
  const weights = radii.map((r) => (state.normalize ? (r < 1 ? gamma(r) : 0) : 1));
  const one = (n) => ({ re: all.re.subarray(n, n + 1), im: all.im.subarray(n, n + 1) });
  // An even grid, and the frequency of each mode whose peak, 1 - |λ| wide, would fall between its points.
  const spacing = Math.PI / 160;
  const peaks = Array.from(radii.keys()).filter((n) => Math.abs(1 - radii[n]) < spacing).map((n) => Math.abs(phase(all, n)));
  const frequencies = new Float64Array(161 + peaks.length).map((_, i) => (i < 161 ? i * spacing : peaks[i - 161])).sort();
  const distances = new Float64Array(101).map((_, i) => (horizon * i) / 100);
  return {
    radii,
    halfLives: radii.map(halfLife),
    impulse: impulseResponse(all, horizon + 1, weights),
    frequencies,
    magnitude: magnitudeResponse(all, frequencies, weights),
    gradient: { distances, ...gradientNorm(all, distances) },
    highlights: highlighted(state).map((n) => ({
      n,
      radius: radii[n],
      impulse: impulseResponse(one(n), horizon + 1, weights.subarray(n, n + 1)),
      magnitude: magnitudeResponse(one(n), frequencies, weights.subarray(n, n + 1)),
      phase: Math.abs(phase(all, n)),
    })),
  };
}

// The selected mode and, above it, the one under the pointer.
const highlighted = ({ selected, hovered }) => (hovered === null || hovered === selected ? [selected] : [selected, hovered]);
const highlightColor = (state, style, n) => (n === state.selected ? style.picked : style.hovered);

function drawImpulse(plot, state, shown, style) {
  const curves = [shown.impulse, ...shown.highlights.map((mode) => mode.impulse)];
  let [low, high] = [0, 0];
  for (const curve of curves) for (const value of curve) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (high === low) high = 1;
  [low, high] = [Math.max(low, -1e12), Math.min(high, 1e12)];
  const margin = 0.06 * (high - low);
  const y = [low - margin, high + margin];
  plot.begin({ x: [0, state.horizon], y, xTicks: linearTicks(0, state.horizon), yTicks: linearTicks(...y), xLabel: "steps t after the impulse" }, style);
  const times = shown.impulse.map((_, t) => t);
  for (const mode of shown.highlights) plot.line(times, mode.impulse, highlightColor(state, style, mode.n), { width: 1.5 });
  plot.line(times, shown.impulse, style.mean, { width: 2.5 });
  plot.end();
}

function drawMagnitude(plot, state, shown, style) {
  let [least, most] = [1, 1];
  for (const curve of [shown.magnitude, ...shown.highlights.map((mode) => mode.magnitude)]) {
    for (const value of curve) if (value > 0 && value < Infinity) [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  const high = 10 ** Math.ceil(Math.log10(most) + 0.05);
  const low = Math.max(10 ** Math.floor(Math.log10(least) - 0.05), high * 1e-6);
  const clip = (curve) => curve.map((v) => Math.min(Math.max(v, low / 10), high * 10));
  const xTicks = [[0, "0"], [Math.PI / 4, "π/4"], [Math.PI / 2, "π/2"], [(3 * Math.PI) / 4, "3π/4"], [Math.PI, "π"]];
  plot.begin({ x: [0, Math.PI], y: [low, high], logY: true, xTicks, yTicks: decadeTicks(low, high), xLabel: "frequency ω, radians a step" }, style);
  for (const mode of shown.highlights) {
    const color = highlightColor(state, style, mode.n);
    plot.line([mode.phase, mode.phase], [low, high], color, { width: 1, dash: [2, 3] });
    plot.line(shown.frequencies, clip(mode.magnitude), color, { width: 1.5 });
  }
  plot.line(shown.frequencies, clip(shown.magnitude), style.mean, { width: 2.5 });
  plot.end();
}

function drawMemory(plot, state, shown, style) {
  const [low, high] = LIFE_RANGE;
  const place = (life) => Math.min(Math.max(life, low), high);
  const bin = (life) => Math.min(LIFE_BINS - 1, Math.floor((LIFE_BINS * Math.log(place(life) / low)) / Math.log(high / low)));
  const edge = (i) => low * (high / low) ** (i / LIFE_BINS);
  const counts = new Array(LIFE_BINS).fill(0);
  for (const life of shown.halfLives) if (life !== Infinity) counts[bin(life)]++;
  const most = Math.max(1, ...counts);
  plot.begin({ x: LIFE_RANGE, y: [0, 1.04], logX: true, xTicks: decadeTicks(low, high), yTicks: [[0, "0"], [0.5, "0.5"], [1, "1"]], xLabel: "half-life, steps" }, style);
  const c = plot.context;
  c.fillStyle = style.faint;
  counts.forEach((count, i) => {
    const height = (0.8 * count) / most;
    c.fillRect(plot.x(edge(i)) + 0.5, plot.y(height), plot.x(edge(i + 1)) - plot.x(edge(i)) - 1, plot.y(0) - plot.y(height));
  });
  const curve = Float64Array.from({ length: 81 }, (_, i) => low * (high / low) ** (i / 80));
  plot.line(curve, curve.map((life) => Math.sqrt(-Math.expm1((-2 * Math.LN2) / life))), style.grid, { width: 1.5 });
  c.fillStyle = style.mean;
  c.beginPath();
  shown.radii.forEach((r, n) => {
    if (r >= 1) return;
    const [x, y] = [plot.x(place(shown.halfLives[n])), plot.y(gamma(r))];
    c.moveTo(x + 2.5, y);
    c.arc(x, y, 2.5, 0, TAU);
  });
  c.fill();
  for (const { n, radius } of shown.highlights) {
    const color = highlightColor(state, style, n);
    const x = place(shown.halfLives[n]);
    plot.line([x, x], [0, 1.04], color, { width: 1, dash: [2, 3] });
    if (radius < 1) plot.dot(x, gamma(radius), 5, color);
  }
  c.fillStyle = style.text;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillText(`tallest bar: ${plural(most, "mode")}`, plot.box.left + 5, plot.y(0.14));
  plot.end();
}

function drawGradient(plot, state, shown, style) {
  const { distances, rms, largest } = shown.gradient;
  const last = distances.length - 1;
  const high = largest[last] > 1 ? Math.min(largest[last], 1e12) * 2 : 2;
  const floor = (v) => Math.min(Math.max(v, GRADIENT_FLOOR / 1e3), high * 1e3);
  plot.begin({ x: [0, state.horizon], y: [GRADIENT_FLOOR, high], logY: true, xTicks: linearTicks(0, state.horizon), yTicks: decadeTicks(GRADIENT_FLOOR, high, 5), xLabel: "distance k, steps" }, style);
  const c = plot.context;
  const atFloor = -Math.log(GRADIENT_FLOOR);
  // |λ|^k is a straight line on this scale; each is drawn to the right edge or to the floor, whichever it meets first.
  const straight = (radius) => {
    const rate = -Math.log(radius);
    const k = rate * state.horizon > atFloor ? atFloor / rate : state.horizon;
    c.moveTo(plot.x(0), plot.y(1));
    c.lineTo(plot.x(k), plot.y(Math.exp(-rate * k)));
  };
  const sorted = shown.radii.toSorted();
  const every = Math.ceil(sorted.length / FAN);
  c.beginPath();
  for (let n = sorted.length - 1; n >= 0; n -= every) straight(sorted[n]);
  plot.stroke(style.fan, 1);
  const alone = (radius, color, width, dash) => {
    c.beginPath();
    straight(radius);
    plot.stroke(color, width, dash);
  };
  for (const { n, radius } of shown.highlights) alone(radius, highlightColor(state, style, n), 1.5);
  alone(sorted.at(-1), style.mean, 2, [6, 4]);
  plot.line(distances, rms.map(floor), style.mean, { width: 2.5 });
  plot.end();
}

// ----------------------------------------------------------------------------------------------------------- 4 disk

const VIEW = 1.17; // the picture reaches this far, in disk radii
const RIM = 1e-4; // the stretched scale spreads the radii up to 1 - RIM

// Radius on the screen, as a fraction of the disk's, and back. Stretched, 0.9, 0.99 and 0.999 lie a quarter apart.
const outward = (r, stretched) => (r > 1 ? r : stretched ? Math.log1p(-r * (1 - RIM)) / Math.log(RIM) : r);
const inward = (s, stretched) => (s > 1 ? s : stretched ? (1 - RIM ** s) / (1 - RIM) : s);

class Disk {
  constructor(parent) {
    this.svg = svgElement(parent, "svg");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("aria-label", "Eigenvalues in the unit disk");
    this.background = svgElement(this.svg, "g");
    this.background.setAttribute("aria-hidden", "true");
    this.points = svgElement(this.svg, "g");
    this.size = 0;
  }

  get unit() {
    return this.size / 2 / VIEW; // CSS pixels in one disk radius
  }

  // Where an eigenvalue is on the screen, from the center, in pixels; y points down. Far outside, it waits at the edge.
  screen(re, im, stretched) {
    const r = Math.hypot(re, im);
    const s = Math.min(outward(r, stretched), VIEW - 0.03) * this.unit;
    return r === 0 ? [0, 0] : [(s * re) / r, (-s * im) / r];
  }

  // The eigenvalue at a place on the screen, held inside the disk.
  eigenvalue(x, y, stretched) {
    const s = Math.hypot(x, y) / this.unit;
    const r = Math.min(Math.max(inward(s, stretched), SMALLEST_RADIUS), LARGEST_RADIUS);
    return s === 0 ? [r, 0] : [(r * x) / (s * this.unit), (-r * y) / (s * this.unit)];
  }

  // The mode nearest to a place on the screen, if it is within reach (pixels).
  nearest([x, y], state, reach) {
    let [best, distance] = [null, reach];
    for (let n = 0; n < state.modes.re.length; n++) {
      const [px, py] = this.screen(state.modes.re[n], state.modes.im[n], state.stretched);
      const d = Math.hypot(px - x, py - y);
      if (d < distance) [best, distance] = [n, d];
    }
    return best;
  }

  drawBackground(state) {
    const half = this.size / 2;
    this.svg.setAttribute("viewBox", `${-half} ${-half} ${this.size} ${this.size}`);
    const at = (r) => outward(r, state.stretched) * this.unit;
    const circle = (r, kind) => `<circle class="${kind}" r="${at(r)}"/>`;
    const text = (x, y, words, anchor = "middle") => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;
    const lives = state.stretched ? [10, 100, 1000] : [1, 10];
    const edge = this.unit;
    this.background.innerHTML =
      circle(1, "inside") + this.sector(state, at) +
      `<path class="axis" d="M${-edge} 0H${edge}M0 ${-edge}V${edge}"/>` +
      lives.map((life) => circle(2 ** (-1 / life), "contour")).join("") + circle(1, "rim") +
      // along a ray that the axes leave free; each word stands inside its circle
      lives.map((life, i) => {
        const r = at(2 ** (-1 / life)) - 7;
        return text(-r * Math.sin(0.55), r * Math.cos(0.55) + 3, `${i === 0 ? "half-life " : ""}${steps(life)}`, "start");
      }).join("") +
      text(edge + 5, 4, "1", "start") + text(-edge - 5, 4, "−1", "end") + text(0, -edge - 5, "i") + text(0, edge + 13, "−i");
  }

  // The region that the ring initialization fills.
  sector({ initialization, r_min, r_max, max_phase }, at) {
    if (initialization !== "ring") return "";
    const end = Math.min(max_phase, TAU - 1e-4);
    const arc = (r, from, to, sweep) => `A${at(r)} ${at(r)} 0 ${end > Math.PI ? 1 : 0} ${sweep} ${at(r) * Math.cos(to)} ${-at(r) * Math.sin(to)}`;
    return `<path class="sector" d="M${at(r_max)} 0${arc(r_max, 0, end, 0)}L${at(r_min) * Math.cos(end)} ${-at(r_min) * Math.sin(end)}${arc(r_min, end, 0, 1)}Z"/>`;
  }

  // One circle for each mode. Only the selected one is in the tab order; Page Up and Page Down go to the others.
  rebuild(state) {
    const size = state.modes.re.length;
    this.points.replaceChildren();
    for (let n = 0; n < size; n++) {
      const point = svgElement(this.points, "circle");
      point.setAttribute("role", "slider");
      point.setAttribute(...OUR_KEYS);
      point.setAttribute("aria-label", `Mode ${n + 1} of ${size}`);
      point.setAttribute("aria-valuemin", "0");
      point.setAttribute("r", size > 96 ? 4 : 5.5);
    }
    this.placed = []; // what each circle shows
    this.selected = this.hovered = null;
    this.mark(state);
  }

  // Writing to the page is what costs: only what changed is written, here and below.
  place({ modes: { re, im }, stretched }) {
    for (let n = 0; n < re.length; n++) {
      const known = this.placed[n];
      if (known && known.re === re[n] && known.im === im[n] && known.stretched === stretched && known.unit === this.unit) continue;
      this.placed[n] = { re: re[n], im: im[n], stretched, unit: this.unit };
      const [x, y] = this.screen(re[n], im[n], stretched);
      const r = Math.hypot(re[n], im[n]);
      const point = this.points.children[n];
      point.style.transform = `translate(${x}px, ${y}px)`;
      point.classList.toggle("outside", r >= 1);
      point.setAttribute("aria-valuemax", String(Math.max(1, r)));
      point.setAttribute("aria-valuenow", r.toFixed(5));
      point.setAttribute("aria-valuetext", `modulus ${radiusText(r)}, phase ${phaseText(Math.atan2(im[n], re[n]))}, ${lifeText(r)}`);
    }
  }

  mark({ selected, hovered }) {
    if (selected === this.selected && hovered === this.hovered) return;
    const points = this.points.children;
    points[this.selected]?.classList.remove("selected");
    points[this.selected]?.setAttribute("tabindex", "-1");
    points[this.hovered]?.classList.remove("hovered");
    points[hovered]?.classList.add("hovered");
    points[selected].classList.add("selected");
    points[selected].setAttribute("tabindex", "0");
    [this.selected, this.hovered] = [selected, hovered];
  }
}

// ----------------------------------------------------------------------------------------------------------- 5 page

const STYLE = `
.eigenvalue-explorer .disk svg { display: block; width: 100%; max-width: 430px; aspect-ratio: 1; margin: 0 auto; touch-action: pan-y; user-select: none; -webkit-user-select: none; overflow: visible; }
.eigenvalue-explorer .disk text { fill: var(--panel-text); font-size: 11px; paint-order: stroke; pointer-events: none; }
.eigenvalue-explorer .inside { fill: var(--panel-inside); }
.eigenvalue-explorer .sector { fill: var(--panel-1); fill-opacity: .13; }
.eigenvalue-explorer .axis { stroke: var(--panel-grid); fill: none; }
.eigenvalue-explorer .contour { stroke: var(--panel-text); stroke-opacity: .4; stroke-dasharray: 2 4; fill: none; }
.eigenvalue-explorer .rim { stroke: var(--panel-text); stroke-width: 1.5; fill: none; }
.eigenvalue-explorer .disk [role=slider] { fill: var(--panel-1); fill-opacity: .75; stroke: none; cursor: grab; outline: none; }
.eigenvalue-explorer .disk .outside { fill: none; stroke: var(--panel-text); stroke-width: 2; }
.eigenvalue-explorer .disk .hovered { fill: var(--panel-3); fill-opacity: 1; stroke: var(--panel-3); stroke-width: 3; }
.eigenvalue-explorer .disk .selected { fill: var(--panel-2); fill-opacity: 1; stroke: var(--panel-2); stroke-width: 4; }
.eigenvalue-explorer .disk [role=slider]:focus-visible { stroke: var(--panel-text); stroke-width: 3; }
.eigenvalue-explorer .disk svg.dragging, .eigenvalue-explorer .disk svg.dragging * { cursor: grabbing; }
@media (prefers-reduced-motion: no-preference) { .eigenvalue-explorer svg.settling [role=slider] { transition: transform .35s ease-out; } }
.eigenvalue-explorer .mode { justify-content: center; gap: .4em .5em; margin: .3em 0 0; font-size: .93em; }
.eigenvalue-explorer .mode label { font-size: 1em; }
.eigenvalue-explorer .mode input[type=number] { width: 5.7em; }
.eigenvalue-explorer .mode input[name=selected] { width: 4.3em; }
@container (min-width: 600px) {
  .eigenvalue-explorer .panels { grid-template: "disk impulse" 1fr "disk magnitude" 1fr "memory gradient" auto / minmax(0, 1.05fr) minmax(0, 1fr); }
  .eigenvalue-explorer .disk { grid-area: disk; } .eigenvalue-explorer .impulse { grid-area: impulse; } .eigenvalue-explorer .magnitude { grid-area: magnitude; }
  .eigenvalue-explorer .memory { grid-area: memory; } .eigenvalue-explorer .gradient { grid-area: gradient; }
}
@container (min-width: 1000px) {
  .eigenvalue-explorer .panels { grid-template: "impulse disk magnitude" 1fr "memory disk gradient" 1fr / minmax(0, 1fr) minmax(0, 1.1fr) minmax(0, 1fr); }
}`;

const MEAN = key("", "panel-1", "mean");
const PICKED = key("", "panel-2", '<span class="selected-name"></span>');

// A radius slider moves in powers of ten of the distance to the circle, where the differences that matter are.
const SLIDER = {
  r_min: { label: "r<sub>min</sub>", name: "smallest radius r min", min: 0, max: 4, step: 0.01, toSlider: (r) => -Math.log10(Math.max(1 - r, 1e-4)), fromSlider: (s) => 1 - 10 ** -s, text: radiusText },
  max_phase: { label: "largest phase", name: "largest phase", min: 0.01, max: 2, step: 0.01, toSlider: (angle) => angle / Math.PI, fromSlider: (s) => s * Math.PI, text: (angle) => `${number(angle / Math.PI)} π` },
  dt: { label: "step dt", name: "step dt", min: -4, max: 0, step: 0.02, toSlider: Math.log10, fromSlider: (s) => 10 ** s, text: (dt) => number(dt) },
  state_size: { label: "modes N", name: "number of modes N", min: 0, max: 8, step: 0.125, toSlider: Math.log2, fromSlider: (s) => Math.round(2 ** s), text: String },
};
SLIDER.r_max = { ...SLIDER.r_min, label: "r<sub>max</sub>", name: "largest radius r max" };

const USES = {
  r_min: ["ring", "real"],
  r_max: ["ring", "real"],
  max_phase: ["ring"],
  seed: ["ring", "real", "glorot"],
  dt: ["s4d_lin", "s4d_inv", "s4d_real", "hippo_legs"],
  method: ["s4d_lin", "s4d_inv", "s4d_real", "hippo_legs"],
  state_size: Object.keys(INITIALIZATIONS).filter((name) => name !== "custom"),
};

const CONTROLS = `
<fieldset class="parameters"><legend>Initialization</legend>
  <label>Initialization<select name="initialization">${choices(Object.entries(INITIALIZATIONS))}</select></label>
  ${["state_size", "r_min", "r_max", "max_phase", "dt"].map((name) => slider(name, SLIDER[name])).join("")}
  <label data-parameter="method">Discretization<select name="method"><option value="zoh">zero-order hold</option><option value="bilinear">bilinear</option></select></label>
  <label data-parameter="seed">Seed<input type="number" name="seed" min="0" max="4294967295" step="1"></label>
</fieldset>
<fieldset class="view"><legend>View</legend>
  <label class="check">Steps shown <select name="horizon">${choices([50, 100, 200, 500, 1000].map((steps) => [steps, steps]))}</select></label>
  <label class="check"><input type="checkbox" name="normalize">weigh each mode by its γ</label>
  <label class="check"><input type="checkbox" name="stretched">stretch the rim of the disk</label>
</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Each point is one mode h<sub>t</sub> = λ h<sub>t−1</sub> + w u<sub>t</sub> of N; the output is the mean of the real parts, so a point stands for its mirror image below the real axis too. The weight w is 1, or γ = √(1 − |λ|²) if you choose so.</li>
  <li>Impulse response: K<sub>t</sub> = (1/N) Σ w Re λ<sup>t</sup>; for the selected mode alone, w Re λ<sup>t</sup>.</li>
  <li>Magnitude response: |H(e<sup>iω</sup>)| with H the Fourier transform of K, (1/N) Σ (w/2) [1/(1 − λ e<sup>−iω</sup>) + 1/(1 − λ* e<sup>−iω</sup>)]. Where some |λ| ≥ 1 the transform diverges and this formula is drawn.</li>
  <li>Memory: half-life ln 2 / (−ln |λ|), after which half of what a mode held is left, against γ, the gain that keeps the variance of its state at 1 for white noise.</li>
  <li>Gradient norm: of ∂h<sub>t+k</sub>/∂h<sub>t</sub> = diag(λ<sup>k</sup>): root mean square and largest of |λ|<sup>k</sup>, and |λ|<sup>k</sup> of each mode as a thin line (of 48 at most, from the shortest-lived to the longest).</li>
  <li>HiPPO-LegS and S4D give one eigenvalue of each conjugate pair, sampled with step dt.</li>
</ul></details>`;

const MODE_CONTROLS = `
<fieldset class="mode"><legend>Selected mode</legend>
  <label>Mode<input type="number" name="selected" min="1" step="1"></label>
  <label>Modulus |λ|<input type="number" name="modulus" min="${SMALLEST_RADIUS}" max="${LARGEST_RADIUS}" step="any"></label>
  <label>Phase / π<input type="number" name="phase" min="-1" max="1" step="any"></label>
  <span><button type="button" name="add">Add</button> <button type="button" name="remove">Remove</button></span>
</fieldset>
<p class="reading"></p>
<p class="hint">Drag a point; double-click adds one. <span class="keys">Keys: arrows move it (Shift: farther), Page Up and Down choose, Delete removes.</span></p>`;

// What the colors of the panel stand for here.
function roles({ series: [mean, picked, hovered], text, grid, font }) {
  return { mean, picked, hovered, text, grid, font, faint: faded(mean, 30), fan: faded(mean, 22) };
}

// --------------------------------------------------------------------------------------------------------- 6 render

const PARAMETERS = ["initialization", "state_size", "r_min", "r_max", "max_phase", "dt", "method", "seed"];
const SHARED = [...PARAMETERS, "horizon", "normalize", "selected"]; // with the eigenvalues: what the model holds

function render({ model, el }) {
  const panel = new Panel(el, { name: "eigenvalue-explorer", controls: CONTROLS, style: STYLE, draw });
  const { root } = panel;
  const field = (name) => panel.field(name);
  const listen = (...hearing) => panel.listen(...hearing);
  const schedule = () => panel.schedule();
  const disk = new Disk(panel.figures.appendChild(Object.assign(document.createElement("figure"), { className: "disk" })));
  disk.svg.parentElement.insertAdjacentHTML("beforeend", MODE_CONTROLS);
  const plots = {
    impulse: new Plot(panel.figures, "impulse", `<strong>Impulse response</strong>${MEAN}${PICKED}`),
    magnitude: new Plot(panel.figures, "magnitude", `<strong>Magnitude response</strong>${MEAN}${PICKED}`),
    memory: new Plot(panel.figures, "memory", `<strong>Memory and γ</strong>${key("dot", "panel-1", "γ")}${key("bar", "ee-bar", "count")}`),
    gradient: new Plot(panel.figures, "gradient", `<strong>Gradient norm</strong>${key("", "panel-1", "RMS")}${key("dashed", "panel-1", "largest")}${PICKED}`),
  };
  const state = { hovered: null, stretched: false, modes: complex(0) };

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.impulse.width > 0) {
      const style = roles(panel.style);
      drawImpulse(plots.impulse, state, shown, style);
      drawMagnitude(plots.magnitude, state, shown, style);
      drawMemory(plots.memory, state, shown, style);
      drawGradient(plots.gradient, state, shown, style);
    }
    disk.place(state); // after the plots: text in them would wait for the page's layout
    disk.mark(state);
    showMode();
    return () => describe(shown);
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    const { distances, rms, largest } = shown.gradient;
    const peak = shown.magnitude.indexOf(Math.max(...shown.magnitude));
    const label = (plot, words) => plot.canvas.setAttribute("aria-label", words);
    const last = shown.impulse.length - 1;
    label(plots.impulse, `Impulse response: the mean of the modes starts at ${number(shown.impulse[0])} and is ${number(shown.impulse[last])} after ${last} steps.`);
    label(plots.magnitude, `Magnitude response: the mean of the modes has gain ${number(shown.magnitude[0])} at the lowest frequency shown and its largest, ${number(shown.magnitude[peak])}, at ${number(shown.frequencies[peak] / Math.PI)} π radians a step.`);
    label(plots.memory, `Half-life and gain γ of each mode: half-lives from ${number(Math.min(...shown.halfLives))} to ${number(Math.max(...shown.halfLives))} steps.`);
    label(plots.gradient, `Gradient norm against distance: after ${number(distances.at(-1))} steps the root mean square is ${number(rms.at(-1))}, the largest ${number(largest.at(-1))}.`);
  }

  function showMode() {
    const n = state.selected;
    const size = state.modes.re.length;
    field("selected").max = size;
    panel.write("selected", n + 1);
    panel.write("modulus", Number(modulus(state.modes, n).toFixed(4)));
    panel.write("phase", Number((phase(state.modes, n) / Math.PI).toFixed(4)));
    field("remove").disabled = size === 1;
    field("add").disabled = size === MOST_MODES;
    panel.tell(".selected-name", `mode ${n + 1}`);
    panel.tell(".reading", `Mode ${n + 1} of ${size}: ${describeMode(state.modes, n)}.`);
  }

  function showControls() {
    for (const name of ["initialization", "method", "seed"]) field(name).value = state[name];
    if (![...field("horizon").options].some((option) => option.value === String(state.horizon))) {
      field("horizon").add(new Option(state.horizon, state.horizon)); // a horizon set in Python
    }
    field("horizon").value = state.horizon;
    field("normalize").checked = state.normalize;
    field("stretched").checked = state.stretched;
    for (const [name, scale] of Object.entries(SLIDER)) panel.writeSlider(name, scale, state[name]);
    for (const [name, users] of Object.entries(USES)) {
      root.querySelector(`[data-parameter="${name}"]`).hidden = !users.includes(state.initialization);
    }
  }

  // ---- state

  function share() {
    const held = Object.fromEntries(SHARED.map((name) => [name, state[name]]));
    panel.share(model, { ...held, eigenvalues: toPairs(state.modes) });
  }

  function takeModes(all) {
    state.modes = all;
    state.state_size = all.re.length;
    state.selected = Math.min(state.selected, all.re.length - 1);
    state.hovered = null;
    disk.rebuild(state);
  }

  function fromModel() {
    for (const name of SHARED) state[name] = model.get(name) ?? DEFAULTS[name];
    const pairs = model.get("eigenvalues") ?? DEFAULTS.eigenvalues;
    takeModes(pairs.length ? fromPairs(pairs) : initialize(state));
    redrawAll();
  }

  function redrawAll() {
    showControls();
    disk.drawBackground(state);
    schedule();
  }

  function reinitialize() {
    const before = state.modes.re.length;
    const drawn = initialize(state);
    if (drawn.re.length === before) {
      disk.svg.classList.add("settling");
      setTimeout(() => disk.svg.classList.remove("settling"), 400);
      Object.assign(state, { modes: drawn, hovered: null });
    } else takeModes(drawn);
    redrawAll();
    share();
  }

  function byHand() {
    if (state.initialization === "custom") return;
    state.initialization = "custom";
    showControls();
    disk.drawBackground(state);
  }

  function move(n, re, im) {
    byHand();
    [state.modes.re[n], state.modes.im[n]] = [re, im];
    schedule();
  }

  function select(n, focus) {
    state.selected = n;
    disk.mark(state);
    if (focus) disk.points.children[n].focus({ preventScroll: true });
    schedule();
  }

  function add(re, im) {
    const size = state.modes.re.length;
    if (size === MOST_MODES) return;
    byHand();
    takeModes(joined(state.modes, re, im));
    select(size, true);
    share();
  }

  function remove() {
    const size = state.modes.re.length;
    if (size === 1) return;
    byHand();
    takeModes(without(state.modes, state.selected));
    select(state.selected, false);
    share();
  }

  // ---- pointer

  const reach = (event) => (event.pointerType === "mouse" ? 14 : 26);
  const touched = (place, distance) => disk.nearest(fromMiddle(disk.svg, place), state, distance);

  panel.drag(disk.svg, {
    grab: (event) => {
      const n = touched(event, reach(event));
      if (n === null) return false;
      disk.svg.classList.remove("settling");
      select(n, true);
      return true;
    },
    move: (event) => move(state.selected, ...disk.eigenvalue(...fromMiddle(disk.svg, event), state.stretched)),
    drop: share,
    hover: (event) => event.pointerType === "mouse" && hover(touched(event, reach(event))),
    holds: (touch) => touched(touch, 26) !== null, // elsewhere a finger scrolls the page as usual
  });
  listen(disk.svg, "pointerleave", () => hover(null));
  listen(disk.svg, "dblclick", (event) => {
    const place = fromMiddle(disk.svg, event);
    if (disk.nearest(place, state, 8) === null && Math.hypot(...place) < disk.unit) add(...disk.eigenvalue(...place, state.stretched));
  });

  function hover(n) {
    if (n === state.hovered) return;
    state.hovered = n;
    schedule();
  }

  // ---- keyboard

  panel.keys(disk.points, () => state.selected, {
    move: (right, up, far) => {
      const n = state.selected;
      const step = (far ? 0.1 : 0.01) * disk.unit;
      const [x, y] = disk.screen(state.modes.re[n], state.modes.im[n], state.stretched);
      move(n, ...disk.eigenvalue(x + step * right, y - step * up, state.stretched));
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
      if (name === "r_min") state.r_max = Math.max(state.r_max, state.r_min);
      if (name === "r_max") state.r_min = Math.min(state.r_min, state.r_max);
      reinitialize();
    });
  }
  for (const name of ["initialization", "method"]) {
    listen(field(name), "change", () => {
      state[name] = field(name).value;
      if (state.initialization !== "custom") reinitialize();
      else {
        redrawAll();
        share();
      }
    });
  }
  listen(field("seed"), "change", () => {
    const seed = Math.trunc(Number(field("seed").value));
    state.seed = Math.min(Math.max(seed || 0, 0), 2 ** 32 - 1);
    reinitialize();
  });
  listen(field("horizon"), "change", () => {
    state.horizon = Number(field("horizon").value);
    schedule();
    share();
  });
  listen(field("normalize"), "change", () => {
    state.normalize = field("normalize").checked;
    schedule();
    share();
  });
  listen(field("stretched"), "change", () => {
    state.stretched = field("stretched").checked;
    disk.drawBackground(state);
    schedule();
  });
  listen(field("selected"), "input", () => {
    const n = Number(field("selected").value) - 1;
    if (!Number.isInteger(n) || n < 0 || n >= state.modes.re.length) return;
    select(n, false);
    share();
  });
  for (const name of ["modulus", "phase"]) {
    listen(field(name), "input", () => {
      const given = field(name).valueAsNumber;
      if (!Number.isFinite(given)) return;
      const n = state.selected;
      const r = name === "modulus" ? given : modulus(state.modes, n);
      const angle = name === "phase" ? given * Math.PI : phase(state.modes, n);
      const held = Math.min(Math.max(r, SMALLEST_RADIUS), LARGEST_RADIUS);
      move(n, held * Math.cos(angle), held * Math.sin(angle));
      share();
    });
    listen(field(name), "change", () => { // what was typed gives way to what it became
      field(name).blur();
      showMode();
    });
  }
  listen(field("add"), "click", () => {
    const n = state.selected; // beside the selected mode, a little further round
    const [c, s] = [Math.cos(0.2), Math.sin(0.2)];
    const shrink = Math.min(1, LARGEST_RADIUS / modulus(state.modes, n));
    const [x, y] = [shrink * state.modes.re[n], shrink * state.modes.im[n]];
    add(x * c - y * s, x * s + y * c);
  });
  listen(field("remove"), "click", remove);

  panel.settle(Object.values(plots), [disk.svg], (_, width) => {
    disk.size = width;
    disk.drawBackground(state);
  });
  root.style.setProperty("--ee-bar", faded("var(--panel-1)", 30));
  panel.follow(model, [...SHARED, "eigenvalues"], fromModel);
  fromModel();
  return () => panel.leave();
}

export default { render };
