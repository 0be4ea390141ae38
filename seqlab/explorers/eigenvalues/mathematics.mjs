// Eigenvalues of a diagonal recurrence, where they start and what they do: held to seqlab/nn by golden vectors. A set of N modes is
// {re, im}, as complex.mjs has it. Discrete eigenvalues unless a name says continuous.

import { complex, fromFormula } from "../base/complex.mjs";
import { matrixEigenvalues } from "./matrix.mjs";

export const TAU = 2 * Math.PI;
export const modulus = ({ re, im }, n) => Math.hypot(re[n], im[n]);
export const phase = ({ re, im }, n) => Math.atan2(im[n], re[n]);

// The generator mulberry32: small, seeded, and the same in Python, so that one seed means one picture.
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Box and Muller: each pair of uniform numbers gives a pair of independent normal ones.
export function normals(uniform, count) {
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
export function ring(u1, u2, rMin, rMax, maxPhase) {
  const drawn = complex(u1.length);
  for (let n = 0; n < u1.length; n++) {
    const radius = Math.sqrt(u1[n] * (rMax ** 2 - rMin ** 2) + rMin ** 2);
    drawn.re[n] = radius * Math.cos(maxPhase * u2[n]);
    drawn.im[n] = radius * Math.sin(maxPhase * u2[n]);
  }
  return drawn;
}

export const real = (u1, rMin, rMax) => ring(u1, new Float64Array(u1.length), rMin, rMax, 0);

// S4D keeps one eigenvalue of each conjugate pair: size modes stand for N = 2 size states, n = 0 .. N/2 - 1.
export const s4dLin = (size) => fromFormula(size, () => -0.5, (n) => Math.PI * n);
export const s4dInv = (size) => fromFormula(size, () => -0.5, (n) => ((2 * size) / Math.PI) * ((2 * size) / (2 * n + 1) - 1));
export const s4dReal = (size) => fromFormula(size, (n) => -(n + 1), () => 0);

// The normal part of HiPPO-LegS is -I/2 + S, S skew with entries ∓ sqrt((2n+1)(2k+1))/2. Its eigenvalues ±iμ need no matrix:
// with d_n = Σ_{k<n} v_k x_k - (half of the full sum) and v_n² = 2n+1, S x = iμ x becomes d_{n+1} = d_n (2iμ - v_n²)/(2iμ + v_n²),
// N turns of the unit circle that must end at -d_0. That is  Σ_n arctan(2μ/(2n+1)) = (m + 1/2) π,  m = 0 .. N/2 - 1.
// The left side is concave in μ, so Newton's steps from the last root climb to the next one without passing it.
export function hippoLegsNormal(size) {
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

export function discretize(continuous, dt, method) {
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

export const glorotMatrix = (uniform, size) => normals(uniform, size * size).map((value) => value / Math.sqrt(size));

// K_t = (1/N) Σ w_n Re λ_n^t, t = 0 .. length - 1.
export function impulseResponse({ re, im }, length, weights) {
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
export function magnitudeResponse({ re, im }, frequencies, weights) {
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

export const halfLife = (radius) => (radius < 1 ? Math.LN2 / -Math.log(radius) : Infinity);
export const gamma = (radius) => Math.sqrt((1 - radius) * (1 + radius)); // NaN outside the disk: no stationary variance

// Root mean square and largest of |λ_n|^k: two norms of ∂h_{t+k}/∂h_t = diag(λ_n^k). A mode's powers at evenly spaced
// distances are each the one before times the same factor.
export function gradientNorm(eigenvalues, distances) {
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
export function initialize({ initialization, state_size: size, r_min, r_max, max_phase, dt, method, seed }) {
  const uniform = uniforms(seed);
  const draw = () => Float64Array.from({ length: size }, uniform);
  if (initialization === "ring") return ring(draw(), draw(), r_min, r_max, max_phase);
  if (initialization === "real") return real(draw(), r_min, r_max);
  if (initialization === "glorot") return matrixEigenvalues(glorotMatrix(uniform, size), size);
  const continuous = { s4d_lin: s4dLin, s4d_inv: s4dInv, s4d_real: s4dReal, hippo_legs: hippoLegsNormal }[initialization];
  return discretize(continuous(size), dt, method);
}

export { matrixEigenvalues };
