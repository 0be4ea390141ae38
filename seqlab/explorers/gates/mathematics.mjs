// A memory behind exponential gates, with and without its stabilizer, rounded after every operation as a chip of that precision
// rounds; and a matrix memory that is written key by key. Held to NumPy (cell.py) by golden vectors.

// To the nearest of float16, ties to even: 11 bits, or a multiple of 2^-24 where that is coarser; infinity from 65520 on.
export function half(x) {
  if (!Number.isFinite(x) || x === 0) return x;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  const low = Math.floor(x / unit);
  const rest = x / unit - low;
  const rounded = (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * unit;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Infinity : rounded;
}

export const PRECISIONS = {
  float16: { words: "float16", round: half, largest: 65504, smallest: 2 ** -24 },
  float32: { words: "float32", round: Math.fround, largest: 3.4028234663852886e38, smallest: 2 ** -149 },
  float64: { words: "float64", round: (x) => x, largest: Number.MAX_VALUE, smallest: Number.MIN_VALUE },
};

// The logarithm of the forget gate whose pre-activation is f.
export const logForget = (f, kind) => (kind === "exp" ? f : -Math.log1p(Math.exp(-f)));

// c_t = e^log_f c_{t-1} + e^{i_t} z_t and n_t likewise of ones, as they stand or divided by e^{m_t}; read out by c/n or by
// c/max(|n|, 1). The first state is empty: c and n are 0, and m is minus infinity, the logarithm of nothing.
export function cell(gates, log_f, z, { stabilized, precision, readout }) {
  const { round } = PRECISIONS[precision];
  const found = Object.fromEntries(["c", "n", "m", "h"].map((name) => [name, new Float64Array(gates.length)]));
  const forget = round(log_f);
  let [c, n, m] = [0, 0, stabilized ? -Infinity : 0];
  gates.forEach((gate, t) => {
    const i = round(gate);
    const decayed = round(forget + m);
    m = stabilized ? Math.max(decayed, i) : 0;
    const kept = round(Math.exp(stabilized ? round(decayed - m) : forget));
    const written = round(Math.exp(round(i - m)));
    c = round(round(kept * c) + round(written * round(z[t])));
    n = round(round(kept * n) + written);
    const bound = readout === "mlstm" ? round(Math.exp(-m)) : 0;
    const h = round(c / Math.max(Math.abs(n), bound)); // Math.max keeps NaN
    [found.c[t], found.n[t], found.m[t], found.h[t]] = [c, n, m, h];
  });
  return found;
}

// A matrix memory after `time` steps: C = sum of weights w_j v_j k_j^T and n of w_j k_j, over e^m; how far what the key k_j reads
// is from v_j, relative to its length, for each key written so far. keys and values hold `size` numbers each, one after another.
export function matrixMemory(gates, log_f, keys, values, size, time) {
  const logs = Array.from({ length: time }, (_, j) => gates[j] + (time - 1 - j) * log_f);
  const m = Math.max(...logs);
  const [C, n] = [new Float64Array(size * size), new Float64Array(size)];
  for (let j = 0; j < time; j++) {
    const weight = Math.exp(logs[j] - m);
    for (let a = 0; a < size; a++) {
      const key = weight * keys[j * size + a];
      n[a] += key;
      for (let b = 0; b < size; b++) C[b * size + a] += values[j * size + b] * key;
    }
  }
  const errors = new Float64Array(time);
  for (let j = 0; j < time; j++) {
    let [norm, off, long] = [0, 0, 0];
    for (let a = 0; a < size; a++) norm += n[a] * keys[j * size + a];
    const bound = Math.max(Math.abs(norm), Math.exp(-m));
    for (let b = 0; b < size; b++) {
      let read = 0;
      for (let a = 0; a < size; a++) read += C[b * size + a] * keys[j * size + a];
      off += (read / bound - values[j * size + b]) ** 2;
      long += values[j * size + b] ** 2;
    }
    errors[j] = Math.sqrt(off / long);
  }
  return { C, n, errors };
}

// Vectors of length 1 in no order, the same in every language: sums of four numbers of a linear congruential generator.
export function scattered(seed, size, count) {
  const vectors = new Float64Array(size * count);
  let state = seed;
  for (let j = 0; j < count; j++) {
    const own = vectors.subarray(j * size, (j + 1) * size);
    for (let a = 0; a < size; a++) {
      own[a] = -2;
      for (let k = 0; k < 4; k++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        own[a] += state / 2 ** 32;
      }
    }
    const length = Math.sqrt(own.reduce((sum, x) => sum + x * x, 0));
    for (let a = 0; a < size; a++) own[a] /= length;
  }
  return vectors;
}

// Keys: the unit vectors one after another, beginning again after the last; or scattered ones.
export function keysOf(kind, size, count) {
  if (kind === "scattered") return scattered(1, size, count);
  const keys = new Float64Array(size * count);
  for (let j = 0; j < count; j++) keys[j * size + (j % size)] = 1;
  return keys;
}
export const valuesOf = (size, count) => scattered(2, size, count);

// What the scalar memory is given to keep.
export const inputs = (length) => Float64Array.from({ length }, (_, t) => Math.cos(2.4 * t + 0.3));

// Input gates to begin with, the same as in Python.
export const STEPS = 16;
export const PRESETS = {
  ordinary: { words: "Ordinary", at: (t) => 2 * Math.sin(1.7 * t) },
  climb: { words: "Climbing", at: (t) => 6 * t },
  deep: { words: "Far below 0, then 0", at: (t) => (t < 8 ? -110 : 0) },
  revise: { words: "Two loud ones", at: (t) => (t === 5 ? 4 : t === 11 ? 8 : 0) },
  custom: { words: "Drawn by hand", at: () => 0 },
};
export const presetGates = (name) => Float64Array.from({ length: STEPS }, (_, t) => PRESETS[name].at(t));
