// H3 on tokens, with one head as wide as the alphabet: held to seqlab/ops/h3/reference.py by golden vectors. Query, key and value of
// a token are all its one-hot vector. The shift memory makes of the keys k̃_t = Σ c_j k_{t-j}; the long memory adds up the products
// k̃_t v_tᵀ, S_t = λ S_{t-1} + k̃_t v_tᵀ, a table with a row for each key; the query picks a row, o_t = q_t S_t.

export const TOKENS = "abcd1234";
export const TAPS = 4;
export const MOST_TOKENS = 24;
const SIZE = TOKENS.length;

export const SEQUENCES = {
  recall: { words: "Recall: letters and their numbers", tokens: "a3c1b4d2b" },
  induction: { words: "Induction: what followed the 1?", tokens: "cad1badcdb1" },
  frequent: { words: "A frequent number", tokens: "a2b3c3d3a" },
  rewritten: { words: "Written twice", tokens: "a1b2c3a4d2a" },
  far: { words: "A long gap", tokens: "a1b2c3d4b3c4d2b4c2d3a" },
  custom: { words: "Typed by hand", tokens: "" },
};
export const presetTokens = (name) => SEQUENCES[name].tokens;

// What is left of a text once it has only tokens.
export const onlyTokens = (text) => [...text.toLowerCase()].filter((c) => TOKENS.includes(c)).join("").slice(0, MOST_TOKENS);
export const indices = (tokens) => Array.from(tokens, (token) => TOKENS.indexOf(token));

// The taps and the factor that are in use, once something is broken.
export const tapsInUse = (taps, broken) => (broken === "shift" ? Float64Array.of(1, 0, 0, 0) : Float64Array.from(taps));
export const decayInUse = (decay, broken) => (broken === "memory" ? 0 : decay);

// k̃: (L × 8), row after row.
export function shifted(tokens, taps) {
  const x = indices(tokens);
  const keys = new Float64Array(x.length * SIZE);
  for (let t = 0; t < x.length; t++) {
    for (let j = 0; j < TAPS && j <= t; j++) keys[t * SIZE + x[t - j]] += taps[j];
  }
  return keys;
}

// What is written at each time, (L × 8 × 8): the product of key and value, or, broken, their sum.
export function written(tokens, keys, broken) {
  const x = indices(tokens);
  const all = new Float64Array(x.length * SIZE * SIZE);
  for (let t = 0; t < x.length; t++) {
    for (let i = 0; i < SIZE; i++) {
      for (let j = 0; j < SIZE; j++) {
        const [key, value] = [keys[t * SIZE + i], j === x[t] ? 1 : 0];
        all[(t * SIZE + i) * SIZE + j] = broken === "product" ? key + value : key * value;
      }
    }
  }
  return all;
}

// S_t, (L × 8 × 8): the table after each time.
export function memories(products, decay) {
  const S = Float64Array.from(products);
  const cells = SIZE * SIZE;
  for (let i = cells; i < S.length; i++) S[i] += decay * S[i - cells];
  return S;
}

// o_t, (L × 8): the row that the query picks, or, broken, the sum of all rows.
export function answers(tokens, S, broken) {
  const x = indices(tokens);
  const o = new Float64Array(x.length * SIZE);
  for (let t = 0; t < x.length; t++) {
    for (let i = 0; i < SIZE; i++) {
      if (broken !== "query" && i !== x[t]) continue;
      for (let j = 0; j < SIZE; j++) o[t * SIZE + j] += S[(t * SIZE + i) * SIZE + j];
    }
  }
  return o;
}

// The tokens that an answer names: all those at its largest value. An answer below FAINT names none: it is lost in any noise.
export const FAINT = 0.1;
export function named(answer) {
  const largest = answer.reduce((most, value) => Math.max(most, value), -Infinity);
  if (largest < FAINT) return "";
  return [...TOKENS].filter((_, j) => answer[j] > largest - 1e-9).join("");
}

// What followed a token the last time, for each time: "" where the token is new.
export function wanted(tokens) {
  const [last, found] = [new Map(), []];
  for (let t = 0; t < tokens.length; t++) {
    found.push(last.has(tokens[t]) ? tokens[last.get(tokens[t]) + 1] : "");
    last.set(tokens[t], t);
  }
  return found;
}
