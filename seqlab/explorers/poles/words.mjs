// What the explorer says.

import { complexText, number, plural } from "../base/words.mjs";
import { PRESETS } from "./mathematics.mjs";

export const METHODS = { euler: "Euler", backward_euler: "backward Euler", bilinear: "bilinear", zoh: "zero-order hold" };

// A share of something, as in "3% of" or "12 times" the peak.
export function shareText(ratio) {
  if (!(ratio < 1e6)) return "more than a million times";
  return ratio < 10 ? `${number(100 * ratio, 2)}% of` : `${number(ratio, 2)} times`;
}
export const modulusAt = ({ re, im }, n) => Math.hypot(re[n], im[n]);
const turnAt = ({ re, im }, n) => Math.abs(Math.atan2(im[n], re[n]));

const FATES = {
  stable: "is inside the circle",
  ringing: "rings, for it changes sign at nearly every step",
  aliased: "is aliased, for the pole is beyond the Nyquist frequency",
  unstable: "is outside the circle, unstable",
};
// What the samples make of a frequency that is too high for them.
const BEYOND = {
  euler: "Euler's samples turn by less than half a turn a step, as all samples do",
  backward_euler: "backward Euler damps such turns and slows them",
  bilinear: "the bilinear map squeezes every frequency below π/dt",
  zoh: "zero-order hold folds it back to a slower turn",
};

const turning = (rate) => (rate < 1e-12 ? "does not turn" : `turns at ${number(rate)} rad per unit of time`);

export function describePole({ points: poles, dt, selected: n }, shown) {
  const [x, y] = [poles.re[n], poles.im[n]];
  const life = x < 0 ? `half-life ${number(Math.LN2 / -x)}` : x === 0 ? "never fades" : "grows";
  const image = complexText(shown.images.re[n], shown.images.im[n]);
  const modulus = modulusAt(shown.images, n);
  const fate = shown.fates[n] === "stable" && modulus > 1 - 1e-12 ? "is on the circle" : FATES[shown.fates[n]];
  return `s = ${complexText(x, y)}: ${life}, ${turning(Math.abs(y))}. Its image ${image}, of modulus ${number(modulus, 4)}, ${turning(turnAt(shown.images, n) / dt)} and ${fate}`;
}

export function describeAll(state, shown) {
  const { points: poles, dt, method } = state;
  const size = poles.re.length;
  const count = (fate) => shown.fates.filter((found) => found === fate).length;
  const [unstable, aliased, ringing] = [count("unstable"), shown.aliased, count("ringing")];
  const growing = poles.re.filter((x) => x > 0).length;
  const caused = unstable > 0 && growing === 0 ? ", though no pole of the continuous system does" : "";
  return [
    `${PRESETS[state.preset].words}: ${plural(size, "pole")}, ${METHODS[method]}, step dt = ${number(dt)}, Nyquist frequency π/dt = ${number(Math.PI / dt)}.`,
    unstable
      ? `Unstable: ${plural(unstable, "image")} of ${size} outside the unit circle ${unstable === 1 ? "makes" : "make"} the sampled system grow${caused}.`
      : "Stable: every image is on or inside the unit circle.",
    growing && !unstable ? `${plural(growing, "pole")} of the continuous system ${growing === 1 ? "grows" : "grow"}, and the samples hide it.` : "",
    aliased ? `Aliasing: ${plural(aliased, "pole")} beyond the Nyquist frequency; ${BEYOND[method]}.` : "",
    ringing ? `Ringing: ${plural(ringing, "image")} near the negative real axis; the sampled response changes sign at nearly every step.` : "",
    shown.worst < 1e-12 ? "The sampled impulse response has no error." : `The sampled impulse response errs by up to ${shareText(shown.worst)} the continuous one's peak.`,
    `Selected pole ${state.selected + 1}: ${describePole(state, shown)}.`,
  ].filter(Boolean).join(" ");
}
