// What HiPPO's four memories hold, held to seqlab/ops/hippo/reference.py by golden vectors. Sample number k = 1 .. L holds over
// (k-1, k] / L: the signal lasts 1, as theta counts.

export const TAU = 2 * Math.PI;
export const MOST_ORDER = 64;
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

export const stepOf = (measure, N, h) => (measure === "legs" ? legsStep : { legt: legtStep, lagt: lagtStep, fourier: fourierStep }[measure](h / 2, N));

// c (N) after the first `seen` samples of f. kept[j] is c after j EVERY samples: the last one in time is where it goes on from.
export const EVERY = 16;
export function follow(step, f, seen, kept) {
  let k = EVERY * Math.min(kept.length - 1, Math.floor(seen / EVERY));
  const c = kept[k / EVERY].slice();
  while (k < seen) {
    step(c, ++k, f[k - 1]);
    if (k % EVERY === 0) kept.push(c.slice());
  }
  return c;
}

export const coefficients = (measure, N, h, f, seen) => follow(stepOf(measure, N, h), f, seen, [new Float64Array(N)]);

// g_n(s), (N, P), at P times ago, in windows: a row for each n, by recurrence from the rows before.
export function basis(measure, N, s, g = new Float64Array(N * s.length)) {
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

// The remembered function at the P points of the basis: eq. 4.2. Two rows at a time: the sum is read and written half as often.
export function reconstruct(c, g) {
  const N = c.length;
  const P = g.length / N;
  const values = N % 2 ? g.slice(0, P).map((row) => c[0] * row) : new Float64Array(P);
  for (let n = N % 2; n < N; n += 2) {
    const [first, second] = [c[n], c[n + 1]];
    for (let p = 0, at = n * P; p < P; p++, at++) values[p] += first * g[at] + second * g[at + P];
  }
  return values;
}

// Root mean square of what the memory has wrong, over the points that are not before the signal's start. The signal is the
// line that is drawn, straight from the middle of a sample to the next.
export function rootMeanSquareError(f, seen, windows, s, values) {
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
