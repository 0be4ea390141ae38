// What is computed for one state of the explorer, and its plots. All of them have a column for each token.

import { decadeTicks, faded, held, linearTicks } from "../base/plot.mjs";
import { minus } from "../base/words.mjs";
import { BEFORE, CHANNELS, LATEST, LETTERS, MODES, TOKENS, answers, invariant, partway, reading, rightAnswers, selective, writing } from "./mathematics.mjs";

export const MARGIN = 44; // left of every plot
export const LEAST = 1e-4; // of the axis of Δ
export const MOST = 10;
export const DASHES = [[], [7, 3], [2, 2], [7, 2, 2, 2]];
const PARTS = 6; // of a step, in which a mode is drawn
const LANE = 17; // pixels in which answers stand
const SIZE = CHANNELS * MODES;

// What depends on tokens alone, and what on steps too, is computed when they change, and called by what it was computed from.
let made = { called: "" };
export function compute({ tokens, delta, position, channel }) {
  const ofTokens = tokens.join();
  if (ofTokens !== made.called) {
    made = { called: ofTokens, invariant: named(invariant(tokens), ofTokens), B: writing(tokens), C: reading(tokens), right: rightAnswers(tokens), selective: {} };
  }
  const ofSteps = `${ofTokens} ${delta.join()}`;
  if (ofSteps !== made.selective.called) made.selective = named(selective(tokens, delta), ofSteps);
  return { ...made, at: position * SIZE + (channel - 1) * MODES };
}
const named = (run, called) => ({ ...run, called, answers: answers(run.probabilities) });

// Axes with a column for each token and the tokens beneath, on them what rests(), which is the same as long as it is called by the
// same name, and the cursor's column shaded.
function draw(plot, { tokens, position }, y, yTicks, style, name, rests, more = {}) {
  const xTicks = Array.from(tokens, (token, t) => [t, TOKENS[token]]);
  plot.begin({ x: [-0.5, tokens.length - 0.5], y, xTicks, yTicks, xLabel: "token", margin: MARGIN, ...more }, style, { name, rests });
  const c = plot.context;
  c.fillStyle = style.cursor;
  c.fillRect(plot.x(position - 0.5), plot.box.top, plot.x(1) - plot.x(0), plot.box.bottom - plot.box.top);
  plot.end();
}

const columnOf = (plot) => plot.x(1) - plot.x(0);

export function drawSteps(plot, state, { selective: { called } }, style) {
  const bars = () => {
    const c = plot.context;
    const width = Math.max(3, 0.6 * columnOf(plot));
    state.delta.forEach((step, t) => {
      const top = plot.y(held(step, LEAST, MOST));
      const token = state.tokens[t];
      c.fillStyle = token === 0 ? style.blank : token <= LETTERS ? style.letter : style.question;
      c.fillRect(plot.x(t) - width / 2, top, width, Math.max(plot.box.bottom - top, 2));
    });
  };
  draw(plot, state, [LEAST, MOST], decadeTicks(LEAST, MOST), style, called, bars, { logY: true });
}

// B and C as squares, whose area is the number's size: filled where it is positive, hollow where it is negative.
export function drawProjections(plot, state, { B, C, called }, style) {
  const rows = 2 * MODES + 1;
  const row = (which, n) => rows - (which * (MODES + 1) + n) - 0.5; // B's modes on top, then a gap, then C's
  const yTicks = [0, 1].flatMap((which) => Array.from({ length: MODES }, (_, n) => [row(which, n), `${"BC"[which]}${"₁₂₃₄"[n]}`]));
  const squares = () => {
    const c = plot.context;
    const room = 0.92 * Math.min(columnOf(plot), plot.y(0) - plot.y(1));
    c.lineWidth = 1.3;
    [B, C].forEach((values, which) => {
      const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-9);
      c.strokeStyle = c.fillStyle = which ? style.question : style.letter;
      values.forEach((value, i) => {
        const side = room * Math.sqrt(Math.abs(value) / most);
        const [x, y] = [plot.x(Math.floor(i / MODES)) - side / 2, plot.y(row(which, i % MODES)) - side / 2];
        if (value > 0) c.fillRect(x, y, side, side);
        else if (side > 1.3) c.strokeRect(x + 0.65, y + 0.65, side - 1.3, side - 1.3);
      });
    });
  };
  draw(plot, state, [0, rows], yTicks, style, called, squares);
}

// The modes of one channel as time passes: within its column each token decays and writes as long as its step lasts. Above, what is
// answered: a letter, boxed where it is right and struck out where it is wrong.
export function drawModes(plot, state, run, { right }, style) {
  const { tokens, channel } = state;
  const own = (t, n) => t * SIZE + (channel - 1) * MODES + n;
  let most = 1e-9;
  for (let t = 0; t <= tokens.length; t++) for (let n = 0; n < MODES; n++) most = Math.max(most, Math.abs(run.states[own(t, n)]));
  const top = 1.1 * most;
  const lane = (2 * top * LANE) / Math.max(plot.height - 38 - LANE, 1);
  const yTicks = linearTicks(-top, top).map(([value, words]) => [value, minus(words)]);
  const lines = () => {
    plot.line([-0.5, tokens.length - 0.5], [0, 0], style.text, { width: 1 });
    for (let n = MODES - 1; n >= 0; n--) {
      const [xs, ys] = [[-0.5], [0]];
      for (let t = 0; t < tokens.length; t++) {
        const i = own(t, n);
        for (let p = 1; p <= PARTS; p++) {
          xs.push(t - 0.5 + p / PARTS);
          ys.push(partway(run.states[i], run.rates[i], run.steps[i], run.drives[i], p / PARTS));
        }
      }
      plot.line(xs, ys, style.series[n], { dash: DASHES[n], width: 1.8 });
    }
    drawAnswers(plot, tokens, run.answers, right, style);
  };
  draw(plot, state, [-top, top + lane], yTicks, style, `${channel} ${run.called}`, lines);
}

function drawAnswers(plot, tokens, given, right, style) {
  const c = plot.context;
  const y = plot.box.top + LANE / 2 - 1;
  const half = Math.min(7, 0.48 * columnOf(plot));
  c.textAlign = "center";
  c.textBaseline = "middle";
  tokens.forEach((token, t) => {
    if (right[t] < 0 || (token !== LATEST && token !== BEFORE)) return;
    const x = plot.x(t);
    const correct = given[t] === right[t];
    c.fillStyle = c.strokeStyle = correct ? style.right : style.wrong;
    c.fillText(TOKENS[given[t] + 1], x, y);
    c.lineWidth = 1.5;
    c.beginPath();
    if (correct) c.rect(x - half, y - 7, 2 * half, 14);
    else {
      c.moveTo(x - half, y + 6);
      c.lineTo(x + half, y - 6);
    }
    c.stroke();
  });
}

// What the colors of the panel stand for here.
export function roles({ series, text, grid, font }) {
  return { letter: series[0], question: series[1], blank: faded(text, 45), right: series[2], wrong: series[1], cursor: faded(text, 14), series, text: faded(text, 80), grid, font };
}
