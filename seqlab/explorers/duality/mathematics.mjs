// One diagonal state-space model, run in two ways: held to seqlab/ops/ssm/reference.py by golden vectors. Its N modes λ, {re, im} as
// complex.mjs has them, are A_bar; B_bar = 1 and C = 1/N, so y is the mean of the real parts of the state.

import { complex, fromPairs } from "../base/complex.mjs";

// K_j = (1/N) Σ Re λ_n^j, j = 0 .. length - 1.
export function kernel(modes, length) {
  const size = modes.re.length;
  const K = new Float64Array(length);
  for (let n = 0; n < size; n++) {
    let [x, y] = [1, 0];
    for (let j = 0; j < length; j++) {
      K[j] += x / size;
      [x, y] = [x * modes.re[n] - y * modes.im[n], x * modes.im[n] + y * modes.re[n]];
    }
  }
  return K;
}

// The recurrence, x_t = λ_n x_{t-1} + u_t from x = 0: {re, im} of all states, mode after mode.
export function states(modes, signal) {
  const [size, length] = [modes.re.length, signal.length];
  const x = complex(size * length);
  for (let n = 0; n < size; n++) {
    let [re, im] = [0, 0];
    for (let t = 0; t < length; t++) {
      [re, im] = [modes.re[n] * re - modes.im[n] * im + signal[t], modes.re[n] * im + modes.im[n] * re];
      [x.re[n * length + t], x.im[n * length + t]] = [re, im];
    }
  }
  return x;
}
export const ofMode = ({ re, im }, n, length) => ({ re: re.subarray(n * length, (n + 1) * length), im: im.subarray(n * length, (n + 1) * length) });

// What the recurrence puts out of the states of N modes: y_t = (1/N) Σ Re x_t.
export function outputs({ re }, size) {
  const y = new Float64Array(re.length / size);
  for (let i = 0; i < re.length; i++) y[i % y.length] += re[i] / size;
  return y;
}

// What the convolution adds up at time t: K_j u_{t-j}, j = 0 .. t.
export const products = (K, signal, t) => Float64Array.from({ length: t + 1 }, (_, j) => K[j] * signal[t - j]);
export const sum = (values) => values.reduce((all, value) => all + value, 0);

// Modes and inputs to begin with, the same as in Python.
const polar = (r, angle) => [r * Math.cos(angle), r * Math.sin(angle)];
const [SLOW, TURNING, FAST] = [[0.95, 0], polar(0.9, Math.PI / 6), [0.5, 0]];
export const MODES = {
  slow: { words: "Slow decay", pairs: [SLOW] },
  oscillation: { words: "Oscillation", pairs: [TURNING] },
  fast: { words: "Fast decay", pairs: [FAST] },
  three: { words: "All three", pairs: [SLOW, TURNING, FAST] },
  custom: { words: "Placed by hand", pairs: [] },
};
export const presetModes = (name) => fromPairs(MODES[name].pairs);

export const SAMPLES = 32;
export const INPUTS = {
  impulse: { words: "Impulse", at: (t) => (t === 0 ? 1 : 0) },
  step: { words: "Step", at: (t) => (t < 4 ? 0 : 1) },
  two_pulses: { words: "Two pulses", at: (t) => (t >= 3 && t < 6 ? 1 : t >= 14 && t < 17 ? -0.8 : 0) },
  silence: { words: "Nothing: draw one", at: () => 0 },
  custom: { words: "Drawn by hand", at: () => 0 },
};
export const presetSignal = (name) => Float64Array.from({ length: SAMPLES }, (_, t) => INPUTS[name].at(t));
