// What is computed for one state of the explorer, and its plots.

import { faded, held, linearTicks } from "../base/plot.mjs";
import { minus, raised } from "../base/words.mjs";
import { PRECISIONS, cell, inputs, keysOf, logForget, matrixMemory, valuesOf } from "./mathematics.mjs";

const MARGIN = 46; // left of every plot
export const LARGEST_GATE = 120;
export const LARGEST_SHIFT = 20;
const TOP = LARGEST_GATE + LARGEST_SHIFT; // of the sheet
const DECADES = 60; // up and down from 1, that the magnitudes show
const HIGHEST = 1.15; // of an output: a mean of values within 1

const stepTicks = (length) => linearTicks(1, Math.max(length, 2), 6).filter(([t]) => Number.isInteger(t) && t <= length);
const signedTicks = (...range) => linearTicks(...range).map(([value, words]) => [value, minus(words)]);

export function compute({ gates, shift, f, forget, precision, readout, key_vectors: kind, key_size: size, time }) {
  const shifted = gates.map((gate) => gate + shift);
  const z = inputs(gates.length);
  const log_f = logForget(f, forget);
  const way = (stabilized, digits) => cell(shifted, log_f, z, { stabilized, precision: digits, readout });
  const [keys, values] = [keysOf(kind, size, gates.length), valuesOf(size, gates.length)];
  return {
    shifted, z, log_f, plain: way(false, precision), stable: way(true, precision), exact: way(true, "float64"),
    memory: matrixMemory(shifted, log_f, keys, values, size, time),
  };
}

// Axes over steps 1 .. length, with a step's room at both ends.
function begin(plot, length, y, yTicks, style) {
  plot.begin({ x: [0, length + 1], y, xTicks: stepTicks(length), yTicks, xLabel: "step t", margin: MARGIN }, style);
}

function rule(plot, places, color, width, dash = []) {
  plot.context.beginPath();
  for (const [x, y] of places) plot.context.lineTo(plot.x(x), plot.y(y));
  plot.stroke(color, width, dash);
}

// A dashed line of whole pixels, which is the same however often it is drawn.
function cursor(plot, time, style) {
  const { top, bottom } = plot.box;
  plot.context.fillStyle = style.text;
  for (let y = top; y < bottom; y += 6) plot.context.fillRect(Math.round(plot.x(time)), y, 1, 3);
}

const spacing = (plot) => plot.x(1) - plot.x(0);

// Marks at places on the screen, all of a kind as one path: a stroke for each would cost more.
function circles(plot, places, radius) {
  plot.context.beginPath();
  for (const [x, y] of places) {
    plot.context.moveTo(x + radius, y);
    plot.context.arc(x, y, radius, 0, 2 * Math.PI);
  }
}

function dots(plot, places, radius, color) {
  circles(plot, places, radius);
  plot.context.fillStyle = color;
  plot.context.fill();
}

function rings(plot, places, radius, color) {
  circles(plot, places, radius);
  plot.stroke(color, 2);
}

function crosses(plot, places, color) {
  const c = plot.context;
  c.beginPath();
  for (const [x, y] of places) {
    for (const up of [-4, 4]) {
      c.moveTo(x - 4, y - up);
      c.lineTo(x + 4, y + up);
    }
  }
  plot.stroke(color, 2.5);
}

// The input gates as stems, and the band in which e^i is a number of the precision.
export function drawGates(plot, { gates, time, precision }, { shifted }, style) {
  begin(plot, gates.length, [-TOP, TOP], signedTicks(-TOP, TOP), style);
  const c = plot.context;
  const { largest, smallest } = PRECISIONS[precision];
  c.fillStyle = style.outside;
  const { left, right, top, bottom } = plot.box;
  const [high, low] = [Math.log(largest), Math.log(smallest)].map((i) => plot.y(i));
  c.fillRect(left, top, right - left, high - top);
  c.fillRect(left, low, right - left, bottom - low);
  rule(plot, [[0, 0], [gates.length + 1, 0]], style.text, 1);
  const radius = Math.min(4, 0.33 * spacing(plot));
  const heads = Array.from(shifted, (gate, t) => [plot.x(t + 1), plot.y(gate)]);
  for (const [part, color] of [[heads.slice(0, time), style.gate], [heads.slice(time), style.faintGate]]) {
    dots(plot, part, radius, color);
    for (const [x, y] of part) c.fillRect(x - 1, plot.y(0), 2, y - plot.y(0));
  }
  cursor(plot, time, style);
  plot.end();
}

// n in powers of ten: as it stands, in the precision, and divided by e^m, which is drawn too.
export function drawMagnitudes(plot, { gates, time, precision }, { plain, stable, exact }, style) {
  const ticks = [-40, -20, 0, 20, 40].map((e) => [e, e ? `10${raised(e)}` : "1"]);
  begin(plot, gates.length, [-DECADES, DECADES], ticks, style);
  const c = plot.context;
  const { left, right, top, bottom } = plot.box;
  const { largest, smallest } = PRECISIONS[precision];
  c.fillStyle = style.outside;
  const [high, low] = [largest, smallest].map((value) => plot.y(Math.log10(value)));
  c.fillRect(left, top, right - left, high - top);
  c.fillRect(left, low, right - left, bottom - low);
  const inside = (decade) => held(decade, -DECADES, DECADES);
  const steps = gates.map((_, t) => t + 1);
  const m = exact.m.map((value) => inside(value / Math.LN10));
  const line = (values, color, width, dash) => rule(plot, Array.from(steps, (t, i) => [t, values[i]]), color, width, dash);
  line(m, style.scale, 2, [5, 4]);
  line(stable.n.map((n) => inside(Math.log10(n))), style.stable, 3);
  const places = Array.from(exact.m, (scale, t) => [plot.x(t + 1), plot.y(inside(scale / Math.LN10 + Math.log10(exact.n[t])))]);
  const lost = (n) => n === 0 || !Number.isFinite(n);
  rings(plot, places.filter((_, t) => !lost(plain.n[t])), 4, style.plain);
  crosses(plot, places.filter((_, t) => lost(plain.n[t])), style.plain);
  cursor(plot, time, style);
  plot.end();
}

// What is written, as bars; what is read: a line in exact arithmetic, a dot with m, a ring without, a cross where that is none.
export function drawOutput(plot, { gates, time }, { z, plain, stable, exact }, style) {
  begin(plot, gates.length, [-HIGHEST, HIGHEST], signedTicks(-1, 1), style);
  const c = plot.context;
  const width = Math.max(3, 0.5 * spacing(plot));
  c.fillStyle = style.written;
  z.forEach((value, t) => c.fillRect(plot.x(t + 1) - width / 2, plot.y(0), width, plot.y(value) - plot.y(0)));
  rule(plot, [[0, 0], [gates.length + 1, 0]], style.text, 1);
  rule(plot, Array.from(exact.h, (h, t) => [t + 1, h]), style.stable, 1.5);
  const places = ({ h }) => Array.from(h, (value, t) => [plot.x(t + 1), plot.y(Number.isFinite(value) ? held(value, -HIGHEST, HIGHEST) : -1.06)]);
  dots(plot, places(stable), 3.5, style.stable);
  const numbers = (_, t) => Number.isFinite(plain.h[t]);
  rings(plot, places(plain).filter(numbers), 6, style.plain);
  crosses(plot, places(plain).filter((_, t) => !numbers(_, t)), style.plain);
  cursor(plot, time, style);
  plot.end();
}

// The matrix memory, a square for each number: the deeper, the larger; one color for each sign.
export function drawMatrix(plot, { key_size: size }, { memory: { C } }, style) {
  const side = [0.5, size + 0.5];
  const ticks = linearTicks(1, size, 4).filter(([a]) => Number.isInteger(a));
  plot.begin({ x: side, y: [side[1], side[0]], xTicks: ticks, yTicks: ticks, xLabel: "of the key", margin: MARGIN }, style);
  const largest = C.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const c = plot.context;
  const [wide, high] = [plot.x(2) - plot.x(1), plot.y(2) - plot.y(1)];
  C.forEach((value, at) => {
    const [row, column] = [Math.floor(at / size) + 1, (at % size) + 1];
    c.globalAlpha = Math.sqrt(Math.abs(value) / largest);
    c.fillStyle = value < 0 ? style.plain : style.stable;
    c.fillRect(plot.x(column - 0.5), plot.y(row - 0.5), wide, high);
  });
  c.globalAlpha = 1;
  plot.end();
}

// How far what each key reads is from its value.
export function drawRetrieval(plot, { gates, time }, { memory: { errors } }, style) {
  const most = Math.max(1, Math.ceil(errors.reduce((a, b) => Math.max(a, b), 0)));
  const top = Math.min(most, 10);
  begin(plot, gates.length, [0, 1.08 * top], linearTicks(0, top, 4).map(([value]) => [value, `${Math.round(100 * value)}%`]), style);
  const width = Math.max(3, 0.6 * spacing(plot));
  plot.context.fillStyle = style.gate;
  errors.forEach((error, j) => {
    const height = plot.y(0) - plot.y(Math.min(error, 1.08 * top));
    plot.context.fillRect(plot.x(j + 1) - width / 2, plot.y(0) - Math.max(height, 2), width, Math.max(height, 2));
  });
  cursor(plot, time, style);
  plot.end();
}

// What the colors of the panel stand for here.
export function roles({ series: [first, second, third, fourth], text, grid, font }) {
  return {
    stable: first, plain: second, gate: third, faintGate: faded(third, 35), scale: fourth, written: faded(text, 25),
    outside: faded(text, 9), text: faded(text, 80), grid, font,
  };
}
