// What is computed for one state of the explorer, and its plots.

import { faded, linearTicks } from "../base/plot.mjs";
import { minus } from "../base/words.mjs";
import { kernel, ofMode, outputs, products, states, sum } from "./mathematics.mjs";

export const MARGIN = 44; // left of every plot
const signedTicks = (...range) => linearTicks(...range).map(([value, words]) => [value, minus(words)]);
const wholeTicks = (last) => linearTicks(0, Math.max(last, 1), 6).filter(([t]) => Number.isInteger(t) && t <= last);

export function compute({ points: modes, signal, time }) {
  const x = states(modes, signal);
  const K = kernel(modes, signal.length);
  const y = outputs(x, modes.re.length);
  const added = products(K, signal, time);
  const largest = added.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return {
    trajectories: Array.from(modes.re, (_, n) => ofMode(x, n, signal.length)), kernel: K, outputs: y, products: added,
    large: Array.from(added).filter((value) => Math.abs(value) > 0.01 * largest),
    stepped: y[time], // by the recurrence
    summed: sum(added), // by the convolution
  };
}

export const tallest = (values, least = 1) => 1.12 * values.reduce((most, value) => Math.max(most, Math.abs(value)), least);

// Axes over samples 0 .. length - 1, with a sample's room at both ends.
function begin(plot, length, top, xLabel, style) {
  plot.begin({ x: [-1, length], y: [-top, top], xTicks: wholeTicks(length - 1), yTicks: signedTicks(-top, top), xLabel, margin: MARGIN }, style);
  rule(plot, [[-1, 0], [length, 0]], style.text, 1);
}

function rule(plot, places, color, width, dash = []) {
  plot.context.beginPath();
  for (const [x, y] of places) plot.context.lineTo(plot.x(x), plot.y(y));
  plot.stroke(color, width, dash);
}

const spacing = (plot) => plot.x(1) - plot.x(0);
const headOf = (plot) => Math.min(3.5, 0.33 * spacing(plot));

// The samples from one to before another, as stems with heads. Rectangles, and one fill for all heads: strokes would cost more.
function stems(plot, values, from, to, color, { width = 1.5, radius = headOf(plot) } = {}) {
  const c = plot.context;
  c.fillStyle = color;
  for (let t = from; width && t < to; t++) c.fillRect(plot.x(t) - width / 2, plot.y(0), width, plot.y(values[t]) - plot.y(0));
  c.beginPath();
  for (let t = from; t < to; t++) {
    const [x, y] = [plot.x(t), plot.y(values[t])];
    c.moveTo(x + radius, y);
    c.arc(x, y, radius, 0, 2 * Math.PI);
  }
  c.fill();
}

export function drawKernel(plot, { signal, time, points, selected }, { kernel: K }, style) {
  begin(plot, signal.length, tallest(K), "lag j", style);
  plot.line(K.map((_, j) => j), kernel(ofMode(points, selected, 1), signal.length), style.state, { width: 1.5 });
  stems(plot, K, 0, time + 1, style.kernel);
  stems(plot, K, time + 1, K.length, style.faintKernel);
  plot.end();
}

// The input, the kernel flipped over it so that K_0 stands at the cursor, and their products.
export function drawConvolution(plot, { signal, time }, { kernel: K, products: added }, style) {
  begin(plot, signal.length, tallest(signal), "time s", style);
  const c = plot.context;
  const width = Math.max(3, 0.62 * spacing(plot));
  c.fillStyle = style.product;
  added.forEach((value, j) => c.fillRect(plot.x(time - j) - width / 2, plot.y(0), width, plot.y(value) - plot.y(0)));
  stems(plot, signal, 0, time, style.text);
  stems(plot, signal, time, time + 1, style.entering, { width: 2.5 });
  stems(plot, signal, time + 1, signal.length, style.faintText);
  const flipped = K.slice(0, time + 1).reverse();
  plot.line(flipped.map((_, s) => s), flipped, style.kernel, { width: 2 });
  stems(plot, flipped, 0, time + 1, style.kernel, { width: 0, radius: 0.75 * headOf(plot) });
  cursor(plot, time, style);
  plot.end();
}

function cursor(plot, time, style) {
  const { top, bottom } = plot.box;
  const x = Math.round(plot.x(time)) + 0.5; // in the middle of a pixel it is sharp
  plot.context.beginPath();
  plot.context.moveTo(x, top);
  plot.context.lineTo(x, bottom);
  plot.stroke(style.text, 1, [3, 3]);
}

// The output up to the cursor, where the state's and the sum's values land: a ring and a dot.
export function drawOutput(plot, { signal, time }, { outputs: y, stepped, summed }, style) {
  begin(plot, signal.length, tallest(y), "time t", style);
  stems(plot, y, 0, time, style.text);
  stems(plot, y, time + 1, y.length, style.faintText);
  cursor(plot, time, style);
  rule(plot, [[time, 0], [time, summed]], style.kernel, 2.5);
  plot.dot(time, summed, 4, style.kernel);
  ring(plot, time, stepped, 7.5, style.state);
  plot.end();
}

function ring(plot, x, y, radius, color) {
  plot.context.beginPath();
  plot.context.arc(plot.x(x), plot.y(y), radius, 0, 2 * Math.PI);
  plot.stroke(color, 2.5);
}

// The plane of the state: where each mode's has been, and the selected one's last step, from x_{t-1} to λ x_{t-1} and on by u_t.
export function drawState(plot, { points: modes, signal, time: t, selected: n }, { trajectories }, style) {
  const own = trajectories[n];
  const [across, up] = [plot.width - MARGIN - 14, plot.height - 38]; // as Plot keeps them
  const before = own.re.map((re, s) => re - signal[s]); // where the last step's arrows meet
  const [wide, high] = [[...own.re, ...before], own.im].map((values) => values.reduce(([low, most], v) => [Math.min(low, v), Math.max(most, v)], [-0.3, 0.3]));
  const unit = Math.max(0.86 * Math.min(across / (wide[1] - wide[0]), up / (high[1] - high[0])), 1e-9);
  const around = ([low, most], size) => [-1, 1].map((side) => (low + most + (side * size) / unit) / 2);
  const [x, y] = [around(wide, across), around(high, up)];
  plot.begin({ x, y, xTicks: signedTicks(...x), yTicks: signedTicks(...y).map(([value, words]) => [value, value ? `${words} i` : "0"]), xLabel: "real part", margin: MARGIN }, style);
  rule(plot, [[x[0], 0], [x[1], 0]], style.text, 1);
  rule(plot, [[0, y[0]], [0, y[1]]], style.text, 1);
  const at = ({ re, im }, s) => (s < 0 ? [0, 0] : [re[s], im[s]]);
  const path = (of, from, to) => Array.from({ length: to - from + 1 }, (_, i) => at(of, from + i));
  trajectories.forEach((other, m) => {
    if (m === n) return;
    rule(plot, path(other, -1, t), style.faintOther, 1.3);
    plot.dot(...at(other, t), 4, style.other);
  });
  rule(plot, path(own, t, signal.length - 1), style.faintState, 1.3);
  rule(plot, path(own, -1, Math.max(t - 1, -1)), style.state, 1.3);
  const [re, im] = at(own, t - 1);
  const turned = [modes.re[n] * re - modes.im[n] * im, modes.re[n] * im + modes.im[n] * re];
  arrow(plot, [re, im], turned, style.text, { bow: modes.im[n] < 0 ? 0.2 : -0.2, dash: [4, 3] });
  arrow(plot, turned, at(own, t), style.entering);
  plot.dot(re, im, 3.5, style.state);
  const [real] = at(own, t);
  rule(plot, [at(own, t), [real, 0]], style.state, 1.3, [2, 3]); // down to the real part, which goes into y
  ring(plot, ...at(own, t), 6, style.state);
  plot.end();
}

// bow: how far it bends aside, of its length: as a turn does, and so two arrows along one line stay apart.
function arrow(plot, from, to, color, { bow = 0, dash = [] } = {}) {
  const c = plot.context;
  const [x0, y0, x, y] = [plot.x(from[0]), plot.y(from[1]), plot.x(to[0]), plot.y(to[1])];
  const [aside, below] = [(x0 + x) / 2 + bow * (y - y0), (y0 + y) / 2 - bow * (x - x0)];
  c.beginPath();
  c.moveTo(x0, y0);
  c.quadraticCurveTo(aside, below, x, y);
  plot.stroke(color, 2, dash);
  if (Math.hypot(x - x0, y - y0) < 9) return; // too short for a head
  const angle = Math.atan2(y - below, x - aside);
  c.beginPath();
  c.moveTo(x, y);
  for (const side of [-0.42, 0.42]) c.lineTo(x - 8 * Math.cos(angle + side), y - 8 * Math.sin(angle + side));
  c.fillStyle = color;
  c.fill();
}

// What the colors of the panel stand for here: the convolution's are the first, the recurrence's the second.
export function roles({ series: [first, second, third, fourth], text, grid, font }) {
  return {
    kernel: first, faintKernel: faded(first, 35), product: faded(first, 35), state: second, faintState: faded(second, 40), entering: third,
    other: fourth, faintOther: faded(fourth, 60), text: faded(text, 80), faintText: faded(text, 35), grid, font,
  };
}
