// RWKV-4's average in one channel, as a weighted sum, as a recurrence and as one with a running maximum, held to
// seqlab/ops/wkv/reference.py by golden vectors. The recurrences can be run in a narrower precision: every result is rounded.

// Largest finite number of a precision and its smallest positive one.
export const LIMITS = {
  float16: { largest: 65504, least: 2 ** -24 },
  float32: { largest: (2 - 2 ** -23) * 2 ** 127, least: 2 ** -149 },
  float64: { largest: Number.MAX_VALUE, least: Number.MIN_VALUE },
};

function toEven(x) {
  const below = Math.floor(x);
  const over = x - below;
  return over > 0.5 || (over === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

// The nearest number that a precision has: of float16's, ten bits follow the first one, down to 2^-24.
export function rounded(precision, x) {
  if (precision === "float64" || !Number.isFinite(x)) return x;
  if (precision === "float32") return Math.fround(x);
  if (Math.abs(x) >= 65520) return Math.sign(x) * Infinity;
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(x))) - 10, -24);
  return x === 0 ? x : toEven(x / unit) * unit;
}

// What each token up to t weighs in y_t, in shares of all: e^(k_i - (t-1-i) w), and e^(k_t + u) for the last.
export function shares(w, u, k, t) {
  const exponents = Float64Array.from({ length: t + 1 }, (_, i) => (i === t ? k[t] + u : k[i] - (t - 1 - i) * w));
  const most = exponents.reduce((m, x) => Math.max(m, x), -Infinity);
  const weights = exponents.map((x) => Math.exp(x - most));
  const all = weights.reduce((sum, x) => sum + x, 0);
  return weights.map((x) => x / all);
}

const tools = (precision) => {
  const r = (x) => rounded(precision, x);
  return { r, exp: (x) => r(Math.exp(x)), inputs: (...arrays) => arrays.map((x) => (typeof x === "number" ? r(x) : x.map(r))) };
};

// The first token whose average, or whose sums, are no numbers any more: they have grown too large, or shrunk to 0. Or -1.
const firstFailure = (y, a, b) => y.findIndex((value, t) => ![value, a[t], b[t]].every(Number.isFinite) || b[t] === 0);

// Numerator a and denominator b after each token, the average y that each token reads before it joins them, and the token at
// which all of this is lost.
export function plain(w, u, k, v, precision) {
  const { r, exp, inputs } = tools(precision);
  [w, u, k, v] = inputs(w, u, k, v);
  const [y, a, b] = Array.from({ length: 3 }, () => new Float64Array(k.length));
  const decay = exp(-w);
  let [numerator, denominator] = [0, 0];
  for (let t = 0; t < k.length; t++) {
    const own = exp(r(u + k[t]));
    y[t] = r(r(numerator + r(own * v[t])) / r(denominator + own));
    const weight = exp(k[t]);
    a[t] = numerator = r(r(decay * numerator) + r(weight * v[t]));
    b[t] = denominator = r(r(decay * denominator) + weight);
  }
  return { y, a, b, lost: firstFailure(y, a, b) };
}

// The same sums as a e^m and b e^m, where m is the largest exponent so far: no exponential is over 1. Before the first token
// there is nothing, whose exponent is as low as the precision goes.
export function guarded(w, u, k, v, precision) {
  const { r, exp, inputs } = tools(precision);
  [w, u, k, v] = inputs(w, u, k, v);
  const [y, a, b, m] = Array.from({ length: 4 }, () => new Float64Array(k.length));
  const joined = (past, decay, exponent, value) => {
    const aged = r(past.m - decay);
    const top = Math.max(aged, exponent);
    const [p, q] = [exp(r(aged - top)), exp(r(exponent - top))];
    return { a: r(r(p * past.a) + r(q * value)), b: r(r(p * past.b) + q), m: top };
  };
  let past = { a: 0, b: 0, m: precision === "float16" ? -LIMITS.float16.largest : -1e38 };
  for (let t = 0; t < k.length; t++) {
    const read = joined(past, 0, r(u + k[t]), v[t]);
    y[t] = r(read.a / read.b);
    past = joined(past, w, k[t], v[t]);
    [a[t], b[t], m[t]] = [past.a, past.b, past.m];
  }
  return { y, a, b, m, lost: firstFailure(y, a, b) };
}

// Tokens to begin with, the same as in Python.
export const TOKENS = 24;
export const usualValues = () => Float64Array.from([0.8, -0.4, 0.1, 0.9, -0.7, -0.2, 0.6, -0.9, 0.3, 0.5, -0.6, 0, 0.7, -0.3, -0.8, 0.4, 0.2, -0.5, 0.9, -0.1, 0.6, -0.7, 0.3, -0.2]);
const ORDINARY = [0.2, 1.1, -0.7, 0.4, -1.2, 2.3, 0.1, -0.4, 0.9, -1.5, 0.6, 0, -0.3, 1.4, -0.8, 0.5, -0.1, 1.9, -1, 0.3, 0.7, -0.6, 1.2, -0.2];
export const PRESETS = {
  ordinary: { words: "Ordinary keys", at: (t) => ORDINARY[t] },
  even: { words: "All keys 0", at: () => 0 },
  loud: { words: "One loud token, k = 12", at: (t) => (t === 6 ? 12 : ORDINARY[t]) },
  huge: { words: "One huge key, k = 100", at: (t) => (t === 6 ? 100 : ORDINARY[t]) },
  climbing: { words: "Climbing keys, k = 5 t", at: (t) => 5 * t },
  faint: { words: "Faint keys, k near -110", at: (t) => ORDINARY[t] - 110 },
  custom: { words: "Set by hand", at: () => 0 },
};
export const presetKeys = (name) => Float64Array.from({ length: TOKENS }, (_, t) => PRESETS[name].at(t));
