// What is computed for one state of the explorer, and its plots.

import { decadeAbove, decadeTicks, held, linearTicks } from "../base/plot.mjs";
import { continuousResponse, errorAgainstStep, fates, images, sampledResponse } from "./mathematics.mjs";
import { METHODS } from "./words.mjs";

export const MOST_DRAWN = 600; // samples; of more, evenly many are left out
const ERROR_RANGE = [1e-8, 10]; // or up to the decade of the largest error
const MOST_ERROR = 1e12;
const STEP_RANGE = [1e-3, 10];
export const STEPS = Float64Array.from({ length: 49 }, (_, i) => STEP_RANGE[0] * (STEP_RANGE[1] / STEP_RANGE[0]) ** (i / 48));
export const DASHES = { euler: [2, 3], backward_euler: [7, 3], bilinear: [9, 3, 2, 3], zoh: [14, 4] };

export function compute(state) {
  const { points: poles, dt, method, duration, selected } = state;
  const steps = Math.max(1, Math.floor(duration / dt + 1e-9));
  const stride = Math.ceil(steps / MOST_DRAWN);
  const count = Math.ceil(steps / stride);
  const sampled = sampledResponse(poles, dt, method, stride, count);
  const times = sampled.map((_, i) => (i * stride + 0.5) * dt);
  const atMiddles = continuousResponse(poles, dt / 2, stride * dt, count);
  const curve = continuousResponse(poles, 0, duration / 600, 601);
  const peak = curve.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const error = sampled.map((value, i) => {
    const ratio = Math.abs(value - atMiddles[i]) / peak;
    return Number.isFinite(ratio) ? ratio : Infinity;
  });
  const { re, im } = poles;
  return {
    images: images(poles, dt, method),
    fates: fates(poles, dt, method),
    aliased: im.filter((y) => Math.abs(y * dt) > Math.PI).length,
    curve, peak, sampled, times, stride, error,
    worst: error.reduce((most, value) => Math.max(most, value), 0),
    orders: ordersOf(re[selected], im[selected], duration),
  };
}

// The errors of every method at every step: the same while only the step changes.
const ordersOf = remembered((x, y, duration) => Object.keys(METHODS).map((name) => [name, errorAgainstStep(x, y, duration, name, STEPS)]));

function remembered(make) {
  let [inputs, made] = ["", null];
  return (...numbers) => {
    const asked = numbers.join();
    if (asked !== inputs) [inputs, made] = [asked, make(...numbers)];
    return made;
  };
}

export function drawImpulse(plot, state, shown, style) {
  const reach = 2.5 * Math.min(shown.peak, 1e12);
  let [low, high] = [0, 0];
  for (const values of [shown.curve, shown.sampled]) {
    for (const value of values) [low, high] = [Math.min(low, held(value, -reach, reach)), Math.max(high, held(value, -reach, reach))];
  }
  const margin = 0.06 * (high - low);
  const y = [low - margin, high + margin];
  const { duration, dt, points } = state;
  const inside = (values) => values.map((value) => held(value, y[0] - margin, y[1] + margin));
  const sampled = inside(shown.sampled);
  const grid = shown.curve.map((_, i) => (i * duration) / 600);
  const axes = { x: [0, duration], y, xTicks: linearTicks(0, duration), yTicks: linearTicks(...y), xLabel: "time t after the impulse" };
  plot.begin(axes, style, { name: `${points.re} ${points.im}`, rests: () => plot.line(grid, inside(shown.curve), style.continuous, { width: 3 }) });
  if (shown.stride === 1 && plot.x(dt) - plot.x(0) > 3) { // each sample for as long as it is held
    const edges = Array.from(shown.times).flatMap((_, j) => [j * dt, (j + 1) * dt]);
    plot.line(edges, edges.map((_, i) => sampled[i >> 1]), style.sampled, { width: 1.2 });
  } else plot.line(shown.times, sampled, style.sampled, { width: widthOf(shown) });
  squares(plot, state, shown.times, sampled, style.sampled);
  plot.end();
}

// A jagged line through many samples shows more of them when it is thin, and a line of one pixel costs a fifth of a wider one.
const widthOf = ({ times }) => (times.length > 150 ? 1 : 1.5);

// A square at the middle of each step, where there is room.
function squares(plot, { dt }, times, values, color) {
  if (plot.x(dt) - plot.x(0) < 5) return;
  plot.context.fillStyle = color;
  times.forEach((t, i) => plot.context.fillRect(plot.x(t) - 2.5, plot.y(values[i]) - 2.5, 5, 5));
}

const errorRange = (worst) => [ERROR_RANGE[0], decadeAbove(worst, ERROR_RANGE[1], MOST_ERROR)];

export function drawError(plot, state, shown, style) {
  const { duration } = state;
  const [low, high] = errorRange(shown.worst);
  plot.begin({ x: [0, duration], y: [low, high], logY: true, xTicks: linearTicks(0, duration), yTicks: decadeTicks(low, high, 5).slice(1), xLabel: "time t after the impulse" }, style);
  const values = shown.error.map((value) => held(value, low / 2, high * 2));
  plot.line(shown.times, values, style.sampled, { width: widthOf(shown) });
  squares(plot, state, shown.times, values, style.sampled);
  plot.end();
}

// The axis reaches to the error of the method chosen at the step chosen; what other methods make of longer steps may leave it.
export function drawOrder(plot, state, shown, style) {
  const here = STEPS.findIndex((dt) => dt >= state.dt * (1 - 1e-9));
  const chosen = shown.orders.find(([name]) => name === state.method)[1];
  const [low, high] = errorRange(chosen.at(here));
  const { points, selected, duration, method } = state;
  const axes = { x: STEP_RANGE, y: [low, high], logX: true, logY: true, xTicks: decadeTicks(...STEP_RANGE), yTicks: decadeTicks(low, high, 5).slice(1), xLabel: "step dt" };
  plot.begin(axes, style, {
    name: [points.re[selected], points.im[selected], duration, method].join(),
    rests() {
      for (const [name, errors] of shown.orders) {
        const values = errors.map((value) => held(value, low / 1e3, high * 1e3));
        if (name === method) plot.line(STEPS, values, style.sampled, { width: 3 });
        plot.line(STEPS, values, style.text, { width: 1.3, dash: DASHES[name] });
      }
    },
  });
  plot.line([state.dt, state.dt], [low, high], style.text, { width: 1, dash: [2, 3] });
  if (shown.orders.every(([, errors]) => errors.every((value) => value < low))) {
    const { left, right, top, bottom } = plot.box;
    Object.assign(plot.context, { fillStyle: style.text, textAlign: "center", textBaseline: "middle" });
    plot.context.fillText("no error at any step", (left + right) / 2, (top + bottom) / 2);
  }
  plot.end();
}

// What the colors of the panel stand for here.
export const roles = ({ series: [continuous, sampled], text, grid, font }) => ({ continuous, sampled, text, grid, font });
