// What the explorer says. Numbers that change as time passes have two digits after the point, so that they stay in place.

import { lowered, fixed } from "../duality/words.mjs";
import { FAINT, SEQUENCES, TOKENS } from "./mathematics.mjs";

// Each of the parts, as it is broken.
export const BROKEN = {
  nothing: "nothing",
  shift: "the shift memory: no delay",
  product: "the product: a sum instead",
  memory: "the long memory: λ = 0",
  query: "the query: all rows at once",
};

const between = (tokens) => (tokens.length === 2 ? `between ${tokens[0]} and ${tokens[1]}` : `among ${[...tokens].join(" ")}`);
const mark = ({ wants, names }) => (wants === "" ? "" : names === wants ? ", which is right" : ", which is wrong");

// What of keys is not zero: "a", "0.50 × a − 0.25 × c".
export function mixture(values) {
  const parts = [...TOKENS].map((token, i) => [values[i], token]).filter(([value]) => Math.abs(value) > 1e-9);
  if (parts.length === 0) return "nothing";
  return parts.map(([value, token], n) => {
    const sign = value < 0 ? (n ? " − " : "−") : n ? " + " : "";
    return `${sign}${Math.abs(value) === 1 ? "" : `${fixed(Math.abs(value), 2)} × `}${token}`;
  }).join("");
}

const answerWords = ({ answer, names }) => {
  if (names === "") return answer.some((value) => value > 1e-9) ? `too faint, under ${FAINT}` : "none: the row is empty";
  return names.length > 1 ? `undecided ${between(names)}` : names;
};

export function writingLine({ broken }, { key, token }) {
  if (broken !== "product" && mixture(key) === "nothing") return "Nothing: no key is handed over";
  return broken === "product" ? `Added: column ${token}, row ${mixture(key)}` : `Written: ${token} into row ${mixture(key)}`;
}

export function memoryLine(state, { now: t, decay, token, broken }) {
  const row = broken === "query" ? "all rows are read" : `row ${token} is read`;
  return `S${lowered(t)} = ${fixed(decay, 2)} S${lowered(t - 1)} + what is written; ${row}`;
}

export function answerLine(state, shown) {
  const { token, wants } = shown;
  const asked = wants === "" ? `${token} is new: nothing to recall` : `Last time ${token} was followed by ${wants}`;
  return `Answer: ${answerWords(shown)}\n${asked}`;
}

export const score = ({ asked, right }) => (asked === 0 ? "So far no token came twice." : `So far ${right} of ${asked} tokens that came again are answered rightly.`);

export function describeAll(state, shown) {
  const { sequence, preset, broken, time: t } = state;
  const { token, key, wants } = shown;
  return [
    `${SEQUENCES[preset].words}: ${[...sequence].join(" ")}. Broken: ${BROKEN[broken]}.`,
    `At t = ${t} the token is ${token}, and the shift memory hands over ${mixture(key)}.`,
    wants === "" ? `${token} is new.` : `Last time ${token} was followed by ${wants}; the answer is ${answerWords(shown)}${mark(shown)}.`,
    score(shown),
    WHAT_IS_LOST[broken],
  ].join(" ");
}

// Of the two abilities, the one that goes.
const WHAT_IS_LOST = {
  nothing: "Recall and comparison both work.",
  shift: "Without a delay a token is filed under itself: it still finds its own row, but what followed it was never written there.",
  product: "A sum of key and value is no pair: all rows come to hold the same counts, so the most frequent token is the answer to any query.",
  memory: "Without a long memory only the pair that was just written can be read.",
  query: "Without the query's product all rows are read at once, so the most frequent token is the answer to any query.",
};
