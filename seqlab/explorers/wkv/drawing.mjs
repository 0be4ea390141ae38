// What is computed for one state of the explorer, and its plots.

import { faded, held, linearTicks } from "../base/plot.mjs";
import { minus } from "../base/words.mjs";
import { LIMITS, TOKENS, guarded, plain, shares } from "./mathematics.mjs";

export const MARGIN = 44; // left of every plot
const ROOM = 1.12; // an axis over the largest value
const LEAST_KEY = 15; // the keys' axis reaches as far at least: beyond float16
const CHANNEL_DASHES = [[], [7, 3], [2, 2]];
const signedTicks = (...range) => linearTicks(...range).map(([value, words]) => [value, minus(words)]);
const X_TICKS = linearTicks(0, TOKENS - 1, 6).filter(([t]) => Number.isInteger(t));

export function compute({ k, v, w, u, selected: c, time, precision }) {
  const exact = Array.from(w, (decay, n) => guarded(decay, u[n], k, v, "float64"));
  return {
    shares: shares(w[c], u[c], k, time),
    averages: exact.map(({ y }) => y), // of every channel
    exact: exact[c],
    plain: plain(w[c], u[c], k, v, precision),
    guarded: guarded(w[c], u[c], k, v, precision),
  };
}

export const highestKey = (k) => ROOM * k.reduce((most, value) => Math.max(most, Math.abs(value)), LEAST_KEY / ROOM);

function begin(plot, y, style, yTicks = signedTicks(...y)) {
  plot.begin({ x: [-1, TOKENS], y, xTicks: X_TICKS, yTicks, xLabel: "token t", margin: MARGIN }, style);
}

const spacing = (plot) => plot.x(1) - plot.x(0);
function bar(plot, t, from, to, color, share = 0.6) {
  const width = Math.max(2, share * spacing(plot));
  plot.context.fillStyle = color;
  plot.context.fillRect(plot.x(t) - width / 2, plot.y(from), width, plot.y(to) - plot.y(from));
}

// Dashes on whole pixels, which every frame paints alike.
function cursor(plot, time, style) {
  const { top, bottom } = plot.box;
  plot.context.fillStyle = style.text;
  for (let y = Math.ceil(top); y + 3 <= bottom; y += 6) plot.context.fillRect(Math.round(plot.x(time)), y, 1, 3);
}

const tokens = Array.from({ length: TOKENS }, (_, t) => t);
const level = (plot, y, color, width, dash) => plot.line([-1, TOKENS], [y, y], color, { width, dash });

// Every token's key, a stem, and its value, a dot; those beyond the cursor are still to come.
export function drawKeys(plot, { k, time }, style) {
  const top = highestKey(k);
  begin(plot, [-top, top], style);
  level(plot, 0, style.text, 1);
  for (const t of tokens) {
    const color = t === time ? style.present : t < time ? style.text : style.faintText;
    bar(plot, t, 0, k[t], color, t === time ? 0.3 : 0.15);
    plot.dot(t, k[t], Math.min(4, 0.36 * spacing(plot)), color);
  }
  cursor(plot, time, style);
  plot.end();
}

// What each token weighs in the average at the cursor.
export function drawShares(plot, { time }, shown, style) {
  const most = shown.shares.reduce((m, share) => Math.max(m, share), 0.1);
  const y = [0, Math.min(1, ROOM * most)];
  begin(plot, y, style, linearTicks(...y, 4).map(([share]) => [share, `${Number((100 * share).toPrecision(3))}%`]));
  shown.shares.forEach((share, t) => bar(plot, t, 0, share, t === time ? style.present : style.past));
  cursor(plot, time, style);
  plot.end();
}

// The logarithm of the denominator: as it is, as far as the precision holds it without the maximum, and the maximum beside it.
export function drawSums(plot, { time, precision }, { exact, plain: without, guarded: safe }, style) {
  const truth = exact.m.map((m, t) => m + Math.log(exact.b[t]));
  const [over, under] = [LIMITS[precision].largest, LIMITS[precision].least].map(Math.log);
  const all = [...truth, ...exact.m];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = 0.08 * Math.max(high - low, 4);
  const y = [low - room, high + room];
  begin(plot, y, style);
  const { top, bottom, left, right } = plot.box;
  plot.context.fillStyle = style.lost;
  const [ceiling, floor] = [over, under].map((limit) => held(plot.y(limit), top, bottom));
  plot.context.fillRect(left, top, right - left, ceiling - top);
  plot.context.fillRect(left, floor, right - left, bottom - floor);
  plot.line(tokens, truth, style.text, { width: 4, whole: true });
  plot.line(tokens, safe.m, style.exponent, { width: 2, dash: [6, 3] });
  for (const t of tokens) {
    const found = Math.log(without.b[t]);
    if (Number.isFinite(found) && (without.lost < 0 || t < without.lost)) plot.dot(t, found, 3, style.without);
  }
  if (without.lost >= 0) cross(plot, without.lost, held(truth[without.lost], ...y), style.without);
  cursor(plot, time, style);
  plot.end();
}

function cross(plot, t, y, color) {
  const [x, at] = [plot.x(t), plot.y(y)];
  plot.context.beginPath();
  for (const side of [-1, 1]) {
    plot.context.moveTo(x - 6, at - 6 * side);
    plot.context.lineTo(x + 6, at + 6 * side);
  }
  plot.stroke(color, 3);
}

// All values, the averages of all channels up to the cursor, and where the selected one is lost without the maximum.
export function drawAverages(plot, { v, time, selected }, { averages, exact, plain: { lost } }, style) {
  const most = ROOM * v.reduce((m, value) => Math.max(m, Math.abs(value)), 1);
  begin(plot, [-most, most], style);
  level(plot, 0, style.text, 1);
  for (const t of tokens) plot.dot(t, v[t], Math.min(3, 0.3 * spacing(plot)), t <= time ? style.text : style.faintText);
  averages.forEach((y, c) => plot.line(tokens, y, c === selected ? style.series[c] : faded(style.series[c], 75), { width: c === selected ? 3 : 1.8, dash: CHANNEL_DASHES[c], whole: true }));
  plot.dot(time, exact.y[time], 5, style.series[selected]);
  if (lost >= 0) cross(plot, lost, exact.y[lost], style.without);
  cursor(plot, time, style);
  plot.end();
}

// What the colors of the panel stand for here.
export function roles({ series, text, grid, font }) {
  const [first, second, third, fourth] = series;
  return {
    series: [first, second, third], past: first, present: second, exponent: third, without: fourth, lost: faded(fourth, 22),
    text: faded(text, 80), faintText: faded(text, 35), grid, font,
  };
}
