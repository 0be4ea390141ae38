// What the explorer says. Numbers that change as time passes have three digits after the point, so that they stay in place.

import { lifeText, phaseText, radiusText } from "../eigenvalues/words.mjs";
import { minus, number, plural } from "../base/words.mjs";
import { INPUTS, MODES } from "./mathematics.mjs";

export const lowered = (index) => [...String(index)].map((c) => (c === "-" ? "₋" : "₀₁₂₃₄₅₆₇₈₉"[c])).join("");
export const fixed = (value, digits = 3) => minus((Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits)); // no −0
const complexFixed = (x, y) => (y === 0 ? fixed(x) : `${fixed(x)} ${y < 0 ? "−" : "+"} ${fixed(Math.abs(y))} i`);
const factor = (x, y) => (y === 0 && x >= 0 ? fixed(x) : `(${complexFixed(x, y)})`);
const times = (a, b) => `${a}${a.endsWith(")") && b.startsWith("(") ? "" : " · "}${b}`;
const plus = (value) => `${value < 0 ? "−" : "+"} ${fixed(Math.abs(value))}`;

const MOST_TERMS = 4; // of a sum that is written out

// The recurrence's last step of mode n, and where it leads.
export function stepLines({ points: modes, signal, time: t, selected: n }, shown) {
  const x = shown.trajectories[n];
  const [re, im] = t ? [x.re[t - 1], x.im[t - 1]] : [0, 0];
  const size = shown.trajectories.length;
  return [
    `x${lowered(t)} = λ x${lowered(t - 1)} + u${lowered(t)}${size > 1 ? ` of mode ${n + 1}` : ""}`,
    `= ${times(factor(modes.re[n], modes.im[n]), factor(re, im))} ${plus(signal[t])}`,
    `= ${complexFixed(x.re[t], x.im[t])}`,
    `y${lowered(t)} = ${size > 1 ? `mean of Re x${lowered(t)}` : `Re x${lowered(t)}`} = ${fixed(shown.stepped, 6)}`,
  ];
}

// The convolution's sum at the same time: of its products the first that count.
export function sumLines({ time: t }, shown) {
  const [first, ...others] = shown.large.slice(0, MOST_TERMS);
  const left = shown.products.filter((value) => value !== 0).length - shown.large.slice(0, MOST_TERMS).length;
  return [
    `${plural(t + 1, "product")} K u, ${shown.large.length} over 1% of the largest:`,
    first === undefined ? "all are 0" : `${fixed(first)}${others.map((value) => ` ${plus(value)}`).join("")}${left ? " + …" : ""}`,
    `y${lowered(t)} = their sum = ${fixed(shown.summed, 6)}`,
  ];
}

// The first and the last of the kernel's values that are in use.
export function kernelLines({ time: t }, { kernel: K }) {
  const weighs = (j, words) => `K${lowered(j)} = ${fixed(K[j])} weighs the ${words} sample, u${lowered(t - j)}`;
  return [weighs(0, "newest"), ...(t ? [weighs(t, "first")] : [])];
}

export function describeAll(state, shown) {
  const { points: modes, signal, time: t, selected: n } = state;
  const size = modes.re.length;
  const [, numbers, next] = stepLines(state, shown);
  const apart = Math.abs(shown.stepped - shown.summed);
  return [
    `${MODES[state.modes].words}, ${plural(size, "mode")}; input: ${INPUTS[state.input].words.replace(/:.*/, "").toLowerCase()}, ${plural(signal.length, "sample")}.`,
    `${size > 1 ? `Mode ${n + 1}` : "The mode"}: ${describeMode(modes, n)}.`,
    `At t = ${t} the recurrence makes x${lowered(t)} ${numbers} ${next}, one product and one sum a mode, and puts out ${fixed(shown.stepped, 6)}.`,
    `The convolution adds ${plural(t + 1, "product")}, ${shown.large.length} of them over 1% of the largest, and puts out ${fixed(shown.summed, 6)}.`,
    apart === 0 ? "Both land on the same number." : `Both land on the same sample: they differ by ${number(apart, 2)}, which is rounding.`,
  ].join(" ");
}

export function describeMode({ re, im }, n) {
  const radius = Math.hypot(re[n], im[n]);
  return `modulus ${radiusText(radius)}, phase ${phaseText(Math.atan2(im[n], re[n]))}, ${lifeText(radius)}`;
}
