// The eigenvalues of a dense real matrix, held to NumPy by golden vectors.

import { complex } from "../base/complex.mjs";

// Eigenvalues of a real matrix (size x size, by rows): reflections to Hessenberg form, then Francis's double-shift QR steps.
export function matrixEigenvalues(matrix, size) {
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
