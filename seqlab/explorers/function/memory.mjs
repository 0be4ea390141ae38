// What is shown of a memory.

import { EVERY, basis, follow, reconstruct, rootMeanSquareError, stepOf } from "./mathematics.mjs";

const POINTS = 256; // of a reconstruction, or a few more
export const MOMENTS = 64; // at which the error is drawn

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
export class Memory {
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

export const moments = (samples) => Array.from({ length: MOMENTS }, (_, i) => Math.ceil(((i + 1) * samples) / MOMENTS));
