// What the explorer says.

import { number, plural } from "../base/words.mjs";
import { gamma, halfLife, modulus, phase } from "./mathematics.mjs";

export const INITIALIZATIONS = {
  ring: "LRU ring",
  glorot: "Dense Glorot matrix",
  real: "Real",
  s4d_lin: "S4D-Lin",
  s4d_inv: "S4D-Inv",
  s4d_real: "S4D-Real",
  hippo_legs: "HiPPO-LegS, normal part",
  custom: "Placed by hand",
};

export const radiusText = (r) => (r > 0.99 && r < 1 ? r.toFixed(5).replace(/0$/, "") : r.toFixed(3));
export const phaseText = (angle) => `${(angle / Math.PI).toFixed(3)} π`;
export const steps = (count) => `${number(count)} step${number(count) === "1" ? "" : "s"}`;
export const lifeText = (r) => (r < 1 ? `half-life ${steps(halfLife(r))}` : r === 1 ? "never fades" : "grows");

export function describeMode(eigenvalues, n) {
  const radius = modulus(eigenvalues, n);
  const angle = Math.abs(phase(eigenvalues, n));
  const turn = angle > 1e-9 ? `one turn in ${steps((2 * Math.PI) / angle)}` : "does not turn";
  return `${lifeText(radius)}, ${turn}, ${radius < 1 ? `γ = ${number(gamma(radius))}` : "no γ outside the disk"}`;
}

export function describeAll(state, shown) {
  const lives = shown.halfLives.toSorted();
  const outside = shown.radii.filter((r) => r >= 1).length;
  const last = shown.gradient.distances.length - 1;
  const n = state.selected;
  return [
    `${INITIALIZATIONS[state.initialization]}: ${plural(shown.radii.length, "mode")}, modulus ${radiusText(Math.min(...shown.radii))} to ${radiusText(Math.max(...shown.radii))}.`,
    `Half-lives run from ${number(lives[0])} to ${number(lives.at(-1))} steps, median ${number(lives[lives.length >> 1])}.`,
    outside ? `${plural(outside, "mode")} on or outside the circle ${outside === 1 ? "does" : "do"} not fade.${state.normalize ? " Having no γ, such modes are left out of the weighted curves." : ""}` : "",
    `After ${shown.gradient.distances[last]} steps a gradient keeps ${number(shown.gradient.rms[last])} of its size (root mean square), ${number(shown.gradient.largest[last])} in its longest-lived mode.`,
    `Selected mode ${n + 1}: modulus ${radiusText(shown.radii[n])}, phase ${phaseText(phase(state.points, n))}, ${describeMode(state.points, n)}.`,
  ].filter(Boolean).join(" ");
}
