// What the explorer says.

import { number } from "../base/words.mjs";
import { PRESETS } from "./signals.mjs";

// A measure's name, how its curve is drawn, and what it remembers; color is its place in the panel's series.
export const MEASURES = {
  legs: { name: "LegS", color: 0, kind: "", dash: [], what: () => "the whole history" },
  legt: { name: "LegT", color: 1, kind: "dashed", dash: [9, 4], what: (theta) => `the last ${number(theta)}` },
  lagt: { name: "LagT", color: 2, kind: "dotted", dash: [2, 3], what: (theta) => `the past, fading over ${number(theta)}` },
  fourier: { name: "Fourier", color: 3, kind: "dashdot", dash: [9, 3, 2, 3], what: (theta) => `the last ${number(theta)}` },
};
export const ALL = Object.keys(MEASURES);

export const clock = (seen, samples) => (seen / samples).toFixed(3);
export const errorText = (error) => (error < 0.0005 ? "< 0.001" : error.toFixed(3));

export function describeAll(state, shown) {
  const { signal, time, order, theta } = state;
  const name = state.preset === "custom" ? "A signal of your own" : PRESETS[state.preset].name.replace(/:.*/, "");
  const told = shown.map(({ measure, error }) => `${MEASURES[measure].name}, which remembers ${MEASURES[measure].what(theta)}, errs by ${errorText(error)}`);
  return [
    `${name}, seen up to time ${clock(time, signal.length)} of 1, in ${order} coefficient${order === 1 ? "" : "s"} each.`,
    told.length ? `Root mean square error: ${told.join("; ")}.` : "No measure is shown.",
  ].join(" ");
}
