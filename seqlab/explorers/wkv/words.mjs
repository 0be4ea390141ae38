// What the explorer says.

import { minus, number } from "../base/words.mjs";
import { PRESETS, TOKENS } from "./mathematics.mjs";

export const lowered = (index) => [...String(index)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");
export const said = (value, digits = 3) => {
  if (Number.isNaN(value)) return "NaN";
  return minus(number(Math.abs(value), digits)).replace(/^/, value < 0 ? "−" : "");
};
export const fixed = (value) => (Number.isFinite(value) ? minus((Math.abs(value) < 0.0005 ? 0 : value).toFixed(3)) : said(value));
const percent = (share) => `${(100 * share).toFixed(1)}%`;

// Which tokens weigh most in the average at the cursor.
export function shareLines({ time: t }, { shares }) {
  const order = Array.from(shares.keys()).sort((i, j) => shares[j] - shares[i]);
  const [first, second] = order.map((i) => `token ${i} ${percent(shares[i])}`);
  return [`y${lowered(t)} is of ${second ? `${first}, ${second}` : first}`, `own token ${percent(shares[t])}, the past ${percent(1 - shares[t])}`];
}

export function sumLines({ time: t, precision }, { plain, guarded }) {
  const { lost } = plain;
  const failed = lost < 0 ? "" : lost <= t ? `: lost at t = ${lost}` : `: lost later, at t = ${lost}`;
  return [
    `with the maximum: a = ${said(guarded.a[t])}, b = ${said(guarded.b[t])}, m = ${fixed(guarded.m[t])}`,
    `without it: a = ${said(plain.a[t])}, b = ${said(plain.b[t])}`,
    `in ${precision}${failed}`,
  ];
}

export function averageLines({ time: t, precision }, { exact, plain, guarded }) {
  return [
    `y${lowered(t)} = ${fixed(exact.y[t])} exactly`,
    `in ${precision}: ${fixed(guarded.y[t])} with the maximum, ${fixed(plain.y[t])} without`,
  ];
}

export const decayText = (w) => `${number(w)}`;
export const bonusText = (u) => minus(u.toFixed(1));
const memory = (w) => (w === 0 ? "forgets nothing" : `halves a weight in ${number(Math.LN2 / w, 2)} steps`);

export function describeAll(state, shown) {
  const { selected: c, w, u, time: t, precision } = state;
  const { lost, b } = shown.plain;
  const kind = b[lost] === 0 ? "sums have shrunk to 0, and 0/0 is no number" : "sums have grown too large";
  return [
    `${PRESETS[state.preset].words}, ${TOKENS} tokens. Channel ${c + 1}: w = ${decayText(w[c])}, which ${memory(w[c])}, u = ${bonusText(u[c])}.`,
    `${shareLines(state, shown).join("; ")}.`,
    `At t = ${t} numerator ${said(shown.guarded.a[t])}, denominator ${said(shown.guarded.b[t])}, exponent ${fixed(shown.guarded.m[t])}.`,
    lost < 0 ? `In ${precision} the sums without the maximum are numbers too.` : `In ${precision}, without the maximum, token ${lost} ends it: the ${kind}.`,
  ].join(" ");
}
