// What is computed for one state of the explorer, and its plots.

import { faded, linearTicks } from "../base/plot.mjs";
import { minus } from "../base/words.mjs";
import { TAPS, TOKENS, answers, decayInUse, memories, named, shifted, tapsInUse, wanted, written } from "./mathematics.mjs";

export const MARGIN = 52; // left of every plot
const SIZE = TOKENS.length;
const TALL = 1.12; // an axis over the largest value

export function compute({ sequence, taps, decay: given, broken, time: t }) {
  const [c, decay] = [tapsInUse(taps, broken), decayInUse(given, broken)];
  const keys = shifted(sequence, c);
  const products = written(sequence, keys, broken);
  const S = memories(products, decay);
  const o = answers(sequence, S, broken);
  const row = (values, s, size) => values.subarray(s * size, (s + 1) * size);
  const all = wanted(sequence).map((wants, s) => ({ wants, names: named(row(o, s, SIZE)) }));
  const asked = all.slice(0, t + 1).filter(({ wants }) => wants !== "");
  return {
    now: t, token: sequence[t], taps: c, decay, broken, all, ...all[t],
    key: row(keys, t, SIZE), product: row(products, t, SIZE * SIZE), memory: row(S, t, SIZE * SIZE), answer: row(o, t, SIZE),
    asked: asked.length, right: asked.filter(({ wants, names }) => wants === names).length,
  };
}

const tokenTicks = [...TOKENS].map((token, i) => [i, token]);
const bare = (style) => ({ ...style, grid: "transparent" }); // cells are their own grid
const percent = (share, strongest) => 5 * Math.ceil((strongest / 5) * Math.min(Math.abs(share), 1)); // few shades
const shadeOf = (style, share, strongest = 85) => (Math.abs(share) < 1e-9 ? style.empty : faded(share > 0 ? style.positive : style.negative, percent(share, strongest)));

// A cell of the grid whose middle is (i, j), and in it a letter.
function cell(plot, i, j, color, gap = 1) {
  const [left, right, top, bottom] = [plot.x(i - 0.5), plot.x(i + 0.5), plot.y(j + 0.5), plot.y(j - 0.5)].map(Math.round);
  plot.context.fillStyle = color;
  plot.context.fillRect(left, top, right - left - gap, bottom - top - gap);
}
function outline(plot, [i, j], [i1, j1], color, width = 2) {
  const [left, right, top, bottom] = [plot.x(i - 0.5), plot.x(i1 + 0.5), plot.y(j1 + 0.5), plot.y(j - 0.5)].map(Math.round);
  plot.context.beginPath();
  plot.context.rect(left - 0.5, top - 0.5, right - left, bottom - top);
  plot.stroke(color, width);
}
function letter(plot, i, j, words, color) {
  const c = plot.context;
  c.fillStyle = color;
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillText(words, plot.x(i), plot.y(j));
}

// Time runs to the right. Under each token what the shift memory holds of the tokens before it, a row for each lag; then the answer.
const ROWS = [...Array.from({ length: TAPS }, (_, j) => [-j, j === 0 ? "token" : `lag ${j}`]), [-TAPS, "answer"], [-TAPS - 1, "wanted"]];
export function drawShift(plot, { sequence, time }, { taps, all }, style) {
  const last = sequence.length - 1;
  plot.begin({ x: [-0.5, last + 0.5], y: [-TAPS - 1.5, 0.5], xTicks: [], yTicks: ROWS, xLabel: "time t", margin: MARGIN }, bare(style));
  for (let t = 0; t <= last; t++) {
    const seen = t <= time;
    for (let j = 0; j < TAPS; j++) {
      if (j > 0 && (t < j || !seen)) continue;
      cell(plot, t, -j, shadeOf(style, seen ? taps[j] : 0, 45));
      letter(plot, t, -j, sequence[t - j], seen ? style.text : style.faintText);
    }
    const { wants, names } = all[t];
    if (seen && wants !== "") {
      const right = wants === names;
      cell(plot, t, -TAPS, right ? style.faintRight : style.empty);
      letter(plot, t, -TAPS, names.length === 1 ? names : names === "" ? "–" : "?", style.text);
      letter(plot, t, -TAPS - 1, wants, style.text);
    }
  }
  outline(plot, [time, 1 - TAPS], [time, 0], style.text);
  plot.end();
}

// What each lag weighs.
export function drawTaps(plot, { broken }, { taps }, style) {
  const yTicks = linearTicks(-1, 1, 4).map(([value, words]) => [value, minus(words)]);
  const lags = Array.from({ length: TAPS }, (_, j) => [j, String(j)]);
  plot.begin({ x: [-0.5, TAPS - 0.5], y: [-TALL, TALL], xTicks: lags, yTicks, xLabel: "lag j", margin: MARGIN }, style);
  const c = plot.context;
  c.fillStyle = style.text;
  c.fillRect(plot.box.left, plot.y(0) - 0.5, plot.box.right - plot.box.left, 1);
  c.fillStyle = broken === "shift" ? style.faintText : style.positive;
  taps.forEach((value, j) => c.fillRect(plot.x(j) - 1.5, plot.y(0), 3, plot.y(value) - plot.y(0)));
  plot.end();
}
export const heightOf = (plot, y) => (TALL * (plot.y(0) - y)) / (plot.y(0) - plot.y(TALL)); // of a place on the sheet of taps

// A table with a row for each key and a column for each value; its shades are shares of the largest number, or of 1.
function drawTable(plot, values, style, xLabel) {
  plot.begin({ x: [-0.5, SIZE - 0.5], y: [0.5 - SIZE, 0.5], xTicks: tokenTicks, yTicks: tokenTicks.map(([i, token]) => [-i, token]), xLabel, margin: MARGIN }, bare(style));
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  values.forEach((value, i) => cell(plot, i % SIZE, -Math.floor(i / SIZE), shadeOf(style, value / largest)));
}
export function drawProduct(plot, _, { product }, style) {
  drawTable(plot, product, style, "value");
  plot.end();
}
export function drawMemory(plot, _, { memory, token, broken }, style) {
  drawTable(plot, memory, style, "value");
  const i = TOKENS.indexOf(token);
  if (broken === "query") outline(plot, [0, 1 - SIZE], [SIZE - 1, 0], style.text);
  else outline(plot, [0, -i], [SIZE - 1, -i], style.text);
  plot.end();
}

// The row that was read; a ring where the right answer is.
export function drawAnswer(plot, _, { answer, names, wants }, style) {
  const top = TALL * answer.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const low = answer.some((value) => value < 0) ? -top : -0.1 * top;
  const yTicks = linearTicks(low, top).map(([value, words]) => [value, minus(words)]);
  plot.begin({ x: [-0.5, SIZE - 0.5], y: [low, top], xTicks: tokenTicks, yTicks, xLabel: "token", margin: MARGIN }, style);
  const c = plot.context;
  c.fillStyle = style.text;
  c.fillRect(plot.box.left, plot.y(0) - 0.5, plot.box.right - plot.box.left, 1);
  const width = 0.6 * (plot.x(1) - plot.x(0));
  answer.forEach((value, j) => {
    c.fillStyle = names.includes(TOKENS[j]) ? style.positive : style.faint;
    c.fillRect(plot.x(j) - width / 2, plot.y(0), width, plot.y(value) - plot.y(0));
  });
  if (wants !== "") {
    const j = TOKENS.indexOf(wants);
    c.beginPath();
    c.arc(plot.x(j), plot.y(answer[j]), 7, 0, 2 * Math.PI);
    plot.stroke(style.right, 2.5);
  }
  plot.end();
}

export function roles({ series: [first, second, third], text, grid, font }) {
  return { positive: first, faint: faded(first, 35), negative: second, right: third, faintRight: faded(third, 45), text, faintText: faded(text, 55), empty: faded(text, 6), grid, font };
}
