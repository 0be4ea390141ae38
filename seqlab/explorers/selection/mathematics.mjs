// Two tiny trained models of one layer each, run over a stream of tokens: held to model.py, in NumPy, by golden vectors. In the
// selective one the step Δ, B and C depend on the token, in the invariant one they are constants, a set for each channel. Arrays are
// Float64Arrays, what has two indices row after row.

import { WEIGHTS } from "./weights.mjs";

export const TOKENS = WEIGHTS.tokens; // a blank, letters, and two questions: for the latest letter and for the one before it
export const LETTERS = 4; // they are tokens 1 to 4
export const LATEST = 5;
export const BEFORE = 6;
export const CHANNELS = WEIGHTS.selective.embedding[0].length;
export const MODES = WEIGHTS.selective.log_rates.length;

// The tokens of a text: other characters are left out, and a period or a space is a blank.
export const tokensOf = (text) => Float64Array.from([...text.replace(/[.\s]/g, TOKENS[0])].map((c) => TOKENS.indexOf(c)).filter((token) => token >= 0));
export const textOf = (tokens) => Array.from(tokens, (token) => TOKENS[token]).join("");

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const silu = (x) => x / (1 + Math.exp(-x));
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const column = (matrix, j) => matrix.map((row) => row[j]);
const projected = (tokens, to) => {
  const { embedding } = WEIGHTS.selective;
  return Float64Array.from({ length: tokens.length * MODES }, (_, i) => dot(embedding[tokens[Math.floor(i / MODES)]], column(to, i % MODES)));
};

// What the selective model makes of each token: its step Δ (L,), B and C (L, N).
export function chosenSteps(tokens) {
  const { embedding, to_step, step_bias } = WEIGHTS.selective;
  return Float64Array.from(tokens, (token) => softplus(dot(embedding[token], to_step) + step_bias));
}
export const writing = (tokens) => projected(tokens, WEIGHTS.selective.to_B);
export const reading = (tokens) => projected(tokens, WEIGHTS.selective.to_C);

// One mode for a part of a step, from 0 to 1: it decays by exp(part Δ A), and the input, held, is written meanwhile (zero-order hold).
export function partway(h, A, step, drive, part) {
  const z = part * step * A;
  return Math.exp(z) * h + (Math.expm1(z) / A) * drive;
}

// What both models share. system(t, d, n) gives A, Δ, B and C of mode n of channel d at time t. Returns the states before the first
// token and after each, (L + 1, D, N), what is written, B u (L, D, N), A and Δ as they were (L, D, N), and probabilities (L, 4).
function run(tokens, { embedding, gate, readout }, system) {
  const [length, size] = [tokens.length, CHANNELS * MODES];
  const states = new Float64Array((length + 1) * size);
  const [drives, rates, steps] = [1, 2, 3].map(() => new Float64Array(length * size));
  const probabilities = new Float64Array(length * LETTERS);
  for (let t = 0; t < length; t++) {
    const u = embedding[tokens[t]];
    const scores = new Float64Array(LETTERS);
    for (let d = 0; d < CHANNELS; d++) {
      let y = 0;
      for (let n = 0; n < MODES; n++) {
        const { A, step, B, C } = system(t, d, n);
        const i = t * size + d * MODES + n;
        [rates[i], steps[i], drives[i]] = [A, step, B * u[d]];
        states[i + size] = partway(states[i], A, step, drives[i], 1);
        y += C * states[i + size];
      }
      const gated = y * silu(dot(u, column(gate, d)));
      readout[d].forEach((weight, k) => (scores[k] += gated * weight));
    }
    softmax(scores).forEach((p, k) => (probabilities[t * LETTERS + k] = p));
  }
  return { states, drives, rates, steps, probabilities };
}

function softmax(scores) {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}

export function selective(tokens, steps) {
  const weights = WEIGHTS.selective;
  const [B, C] = [writing(tokens), reading(tokens)];
  const A = weights.log_rates.map((rate) => -Math.exp(rate));
  return run(tokens, weights, (t, d, n) => ({ A: A[n], step: steps[t], B: B[t * MODES + n], C: C[t * MODES + n] }));
}

export function invariant(tokens) {
  const weights = WEIGHTS.invariant;
  const A = weights.log_rates.map((row) => row.map((rate) => -Math.exp(rate)));
  const steps = weights.step_bias.map(softplus);
  return run(tokens, weights, (t, d, n) => ({ A: A[d][n], step: steps[d], B: weights.B[d][n], C: weights.C[d][n] }));
}

// The letter that is right at each question, from 0; -1 where none is asked for, or none was there yet.
export function rightAnswers(tokens) {
  let [latest, before] = [-1, -1];
  return Float64Array.from(tokens, (token) => {
    if (token >= 1 && token <= LETTERS) [before, latest] = [latest, token - 1];
    return token === LATEST ? latest : token === BEFORE ? before : -1;
  });
}

// The letter that a model answers at each token, from 0.
export const answers = (probabilities) =>
  Float64Array.from({ length: probabilities.length / LETTERS }, (_, t) => {
    const own = probabilities.subarray(t * LETTERS, (t + 1) * LETTERS);
    return own.indexOf(Math.max(...own));
  });
