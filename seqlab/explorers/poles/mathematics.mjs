// Poles and what a discretization makes of them, held to seqlab/ops/discretize by golden vectors. A set of complex numbers is
// {re, im}, as complex.mjs has it. Every pole has input weight 1, and the output is the mean of the real parts, so a pole off the
// real axis answers for its conjugate too.

import { complex, fromFormula } from "../base/complex.mjs";

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
export const images = (poles, dt, method) => perEntry(scaled(poles, dt), METHOD[method].image);
export const gains = (poles, dt, method) => scaled(perEntry(scaled(poles, dt), METHOD[method].gain), dt);

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
export const continuousResponse = (poles, start, spacing, count) =>
  meanOfPowers(perEntry(scaled(poles, start), exponential), perEntry(scaled(poles, spacing), exponential), count);

// What one sample of height 1/dt, an impulse of area 1, leaves `stride` j steps later, j = 0 .. count - 1:
// (1/N) Σ Re A_bar^(stride j) B_bar / dt. To second order it is the continuous response at the middle of that step.
export const sampledResponse = (poles, dt, method, stride, count) =>
  meanOfPowers(
    scaled(gains(poles, dt, method), 1 / dt),
    perEntry(images(poles, dt, method), (x, y) => power(x, y, stride)),
    count,
  );

// The largest error of one pole's sampled response at the middles of the steps up to `duration`, over the largest value of the
// continuous one, for each step in dts. Of many steps 32 are looked at, from the first to the last.
export function errorAgainstStep(x, y, duration, method, dts) {
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
export function fates(poles, dt, method) {
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
export const PRESETS = {
  s4d_lin: { words: "S4D-Lin", sized: true, dt: 0.05, duration: 6, poles: (size) => fromFormula(size, () => -0.5, (n) => Math.PI * n) },
  s4d_real: { words: "S4D-Real", sized: true, dt: 0.1, duration: 4, poles: (size) => fromFormula(size, (n) => -(n + 1), () => 0) },
  oscillator: { words: "Lightly damped oscillator", dt: 0.25, duration: 20, poles: () => fromFormula(1, () => -0.1, () => 2) },
  stiff: { words: "Stiff pair", dt: 0.1, duration: 3, poles: () => fromFormula(2, (n) => -(100 ** n), () => 0) },
  integrator: { words: "Integrator", dt: 0.5, duration: 10, poles: () => fromFormula(1, () => 0, () => 0) },
  aliasing: { words: "Aliasing pair", dt: 1, duration: 20, poles: () => fromFormula(2, () => -0.05, (n) => (n ? 2 * Math.PI - 1 : 1)) },
  custom: { words: "Placed by hand", dt: 0.1, duration: 10, poles: () => complex(0) },
};
export const presetPoles = (preset, size) => PRESETS[preset].poles(size);
export const presetTimes = (preset) => Float64Array.of(PRESETS[preset].dt, PRESETS[preset].duration);
