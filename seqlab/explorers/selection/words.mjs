// What the explorer says.

import { minus, number, plural } from "../base/words.mjs";
import { BEFORE, LATEST, LETTERS, MODES, TOKENS, textOf } from "./mathematics.mjs";
import { RULES, STREAMS } from "./streams.mjs";

export const fixed = (value, digits = 2) => minus((Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits)); // no −0
export const tokenName = (token) => (token === 0 ? "blank" : token === LATEST ? "1, which is the latest letter?" : token === BEFORE ? "2, which is the one before it?" : `letter ${TOKENS[token]}`);
const letter = (k) => TOKENS[k + 1];

// How much of each mode a step leaves: exp(Δ A), of one channel at one time.
const kept = ({ rates, steps }, i) => Array.from({ length: MODES }, (_, n) => fixed(Math.exp(rates[i + n] * steps[i + n])));

export const keptLine = (run, i) => `kept of the modes: ${kept(run, i).join(", ")}`;

// What a model answers at time t, if it is asked there.
export function answerLine({ answers, probabilities }, right, t) {
  if (right[t] < 0) return "no letter is asked for here";
  const given = answers[t];
  return `answers ${letter(given)} (${Math.round(100 * probabilities[t * LETTERS + given])}%): ${given === right[t] ? "right" : `wrong, it was ${letter(right[t])}`}`;
}

export const score = ({ answers }, right) => right.reduce((count, k, t) => count + (k >= 0 && answers[t] === k ? 1 : 0), 0);
export const asked = (right) => right.filter((k) => k >= 0).length;

export function describeAll({ stream, rule, delta, tokens, position: t, channel }, { selective, invariant, right, at }) {
  const questions = asked(right);
  return [
    `${STREAMS[stream].words}, ${plural(tokens.length, "token")}: ${textOf(tokens)}.`,
    questions ? `Of ${plural(questions, "question")}, the selective model answers ${score(selective, right)} right, the time-invariant one ${score(invariant, right)}.` : "No letter is asked for.",
    `Δ ${RULES[rule]}; at token ${t + 1} (${tokenName(tokens[t])}) it is ${number(delta[t])}, and of channel ${channel} the selective model keeps ${kept(selective, at).join(", ")} of its modes, the time-invariant one ${kept(invariant, at).join(", ")}, whatever the token.`,
  ].join(" ");
}
