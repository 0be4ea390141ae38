// The plots.

import { decadeAbove, decadeTicks, faded, held, linearTicks } from "../base/plot.mjs";
import { number } from "../base/words.mjs";
import { moments } from "./memory.mjs";
import { ALL, MEASURES } from "./words.mjs";

export const MARGIN = 48; // left of every plot, wide enough for "Fourier"
const LANE = 12; // pixels in which a weight is shaded
const ERRORS = [1e-3, 3]; // or up to the decade of the largest error

export const tallest = (signal) => signal.reduce((most, value) => Math.max(most, Math.abs(value)), 1.2);

export function drawSignal(plot, state, shown, style) {
  const { signal, time } = state;
  const samples = signal.length;
  const top = tallest(signal);
  const lanes = LANE * ALL.length + 6;
  const low = -top - (2 * top * lanes) / Math.max(plot.height - 38 - lanes, 1); // room beneath for the weights
  const yTicks = linearTicks(-top, top, 4);
  const now = time / samples;
  const middles = signal.map((_, i) => (i + 0.5) / samples);
  const curve = (from, to, color, width) => plot.line(middles.subarray(from, to), signal.subarray(from, to), color, { width, whole: true });
  const memory = ({ measure, s, window, values }) => {
    const { color, dash } = MEASURES[measure];
    const times = s.map((ago) => now - window * ago);
    const beginning = times.findIndex((t) => t < 0); // of the signal
    plot.line(beginning < 0 ? times : times.subarray(0, beginning), values, style.series[color], { dash });
  };
  const [resting, moving] = [true, false].map((rests) => shown.filter(({ measure }) => (measure === "legs") === rests)); // while the window changes
  const axes = { x: [0, 1], y: [low, top], xTicks: linearTicks(0, 1, 5), yTicks, xLabel: "time", margin: MARGIN };
  plot.begin(axes, style, {
    name: [state.version, time, resting.length && state.order].join(),
    rests() {
      curve(Math.max(0, time - 1), samples, style.future, 1.5);
      curve(0, time, style.past, 4);
      resting.forEach(memory);
    },
  });
  moving.forEach(memory);
  for (const { measure, window } of shown) drawWeight(plot, measure, now, window, style);
  plot.line([now, now], [low, top], style.text, { width: 1.5 });
  plot.end();
  const c = plot.context;
  c.fillStyle = style.text;
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (const { measure } of shown) c.fillText(MEASURES[measure].name, MARGIN - 5, laneOf(plot, measure) + LANE / 2);
}

const laneOf = (plot, measure) => plot.box.bottom - LANE * (ALL.length - ALL.indexOf(measure));

// How much each time ago weighs: evenly over the window, or as e^-s, which Laguerre's functions carry in themselves.
function drawWeight(plot, measure, now, window, style) {
  const c = plot.context;
  const bottom = laneOf(plot, measure) + LANE;
  const height = LANE - 2;
  const color = style.series[MEASURES[measure].color];
  const end = Math.max(0, now - window);
  c.beginPath();
  c.moveTo(plot.x(now), bottom);
  if (measure === "lagt") {
    for (let p = 0; p <= 60; p++) c.lineTo(plot.x(now * (1 - p / 60)), bottom - height * Math.exp((-now * p) / 60 / window));
    c.lineTo(plot.x(0), bottom);
  } else {
    c.lineTo(plot.x(now), bottom - height);
    c.lineTo(plot.x(end), bottom - height);
    c.lineTo(plot.x(end), bottom);
  }
  c.closePath();
  c.fillStyle = faded(color, 45);
  c.fill();
  plot.stroke(color, 1);
}

export function drawCoefficients(plot, state, shown, style) {
  const { order } = state;
  const lanes = Math.max(shown.length, 1);
  const lane = (i) => lanes - i - 0.5; // the first measure on top
  plot.begin({
    x: [-0.5, order - 0.5], y: [0, lanes], xTicks: linearTicks(0, order - 1 || 1).filter(([n]) => Number.isInteger(n) && n < order),
    yTicks: shown.map(({ measure }, i) => [lane(i), MEASURES[measure].name]), xLabel: "coefficient n", margin: MARGIN,
  }, style);
  const c = plot.context;
  const most = longest(shown);
  const width = Math.max(1.5, Math.min(14, 0.7 * (plot.x(1) - plot.x(0))));
  shown.forEach(({ measure, c: coefficients }, i) => {
    c.fillStyle = style.series[MEASURES[measure].color];
    const zero = plot.y(lane(i));
    coefficients.forEach((value, n) => c.fillRect(plot.x(n) - width / 2, zero, width, plot.y(lane(i) + (0.46 * value) / (most || 1)) - zero));
  });
  c.fillStyle = style.text;
  c.textAlign = "right";
  c.textBaseline = "top";
  c.fillText(`longest bar: ${number(most)}`, plot.box.right - 4, plot.box.top);
  plot.end();
}

export const longest = (shown) => shown.reduce((most, { c }) => c.reduce((m, value) => Math.max(m, Math.abs(value)), most), 0);

export function drawErrors(plot, state, shown, history, stale, style) {
  const samples = state.signal.length;
  const all = shown.flatMap(({ measure, error }) => [error, ...(history[measure] ?? [])]);
  const largest = all.reduce((most, error) => Math.max(most, error), 0);
  const [low, high] = [ERRORS[0], largest > ERRORS[1] ? decadeAbove(largest, 10, 1e12) : ERRORS[1]];
  const inside = (value) => held(value, low, high);
  const times = moments(samples).map((seen) => seen / samples);
  const axes = { x: [0, 1], y: [low, high], logY: true, xTicks: linearTicks(0, 1, 5), yTicks: decadeTicks(low, high), xLabel: "time", margin: MARGIN };
  plot.begin(axes, style, {
    name: [history.version, stale, ...shown.map(({ measure }) => measure)].join(),
    rests() {
      for (const { measure } of shown) {
        const { color, dash } = MEASURES[measure];
        if (history[measure]) plot.line(times, history[measure].map(inside), stale ? faded(style.series[color], 30) : style.series[color], { dash, whole: true });
      }
    },
  });
  const now = state.time / samples;
  for (const { measure, error } of shown) plot.dot(now, inside(error), 4.5, style.series[MEASURES[measure].color]);
  plot.line([now, now], [low, high], style.text, { width: 1.5 });
  plot.end();
}

// What the colors of the panel stand for here.
export const roles = (style) => ({ ...style, past: faded(style.text, 30), future: faded(style.text, 45) });
