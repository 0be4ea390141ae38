// What the explorer says.

import { minus, number, plural } from "../base/words.mjs";
import { PRESETS, PRECISIONS } from "./mathematics.mjs";

// A number of the cell, which may be none.
export function told(value) {
  if (Number.isNaN(value)) return "0/0 or ∞/∞";
  return `${value < 0 ? "−" : ""}${number(Math.abs(value))}`;
}

export const fixed = (value, digits = 1) => minus((Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits)); // no −0

// c, n and h at the cursor, in both ways.
export function cellLines({ time }, { plain, stable }) {
  const at = ({ c, n, h }, prime) => `c${prime} = ${told(c[time - 1])}, n${prime} = ${told(n[time - 1])}`;
  return [
    `without m: ${at(plain, "")}`,
    `with m = ${told(stable.m[time - 1])}: ${at(stable, "′")}`,
  ];
}

export const outputLines = ({ time }, { plain, stable, exact }) => [
  `without m: h = ${told(plain.h[time - 1])}`,
  `with m: h = ${told(stable.h[time - 1])}; exact: ${told(exact.h[time - 1])}`,
];

export function retrievalLines({ time, key_size: size }, { errors }) {
  return [`${plural(time, "key")} in ${size} × ${size} numbers`, `read back with errors of ${fixed(100 * Math.min(...errors))} to ${fixed(100 * Math.max(...errors))}%`];
}

// The first step, counted from 1, at which something happens; 0 if it never does.
const first = (values, happens) => values.findIndex(happens) + 1;

// What goes wrong without m, in the order in which it does.
export function faults({ plain }) {
  const over = first(plain.n, (n) => n === Infinity);
  const under = first(plain.n, (n) => n === 0);
  const lost = first(plain.h, (h) => !Number.isFinite(h));
  return [
    under ? `n is rounded to 0 at step ${under}` : "",
    over ? `n overflows at step ${over}` : "",
    lost ? `${plain.h.filter((h) => !Number.isFinite(h)).length} of ${plain.h.length} outputs are no numbers, the first at step ${lost}` : "",
  ].filter((words) => words);
}

export const apart = (found, exact) => found.h.reduce((most, h, t) => Math.max(most, Math.abs(h - exact.h[t])), 0);

export function describeAll(state, shown) {
  const { precision, readout, forget, f, shift, time } = state;
  const gate = `forget gate ${forget === "exp" ? `e^${fixed(f)}` : `σ(${fixed(f)})`} = ${number(Math.exp(shown.log_f))}`;
  const wrong = faults(shown);
  const read = readout === "mlstm" ? "c / max(|n|, 1)" : "c / n";
  return [
    `${PRESETS[state.preset].words} input gates${shift ? `, all shifted by ${fixed(shift)}` : ""}; ${gate}; ${PRECISIONS[precision].words}; h = ${read}.`,
    wrong.length ? `Without m: ${wrong.join("; ")}.` : `Without m nothing overflows, and h is within ${number(apart(shown.plain, shown.exact), 2)} of exact.`,
    `With m, c′ and n′ are at most ${number(shown.stable.n.reduce((most, n) => Math.max(most, n), 0))}, and h is within ${number(apart(shown.stable, shown.exact), 2)} of exact.`,
    `At step ${time}: ${cellLines(state, shown).join("; ")}.`,
    `The matrix memory: ${retrievalLines(state, shown.memory).join(", ")}.`,
  ].join(" ");
}
