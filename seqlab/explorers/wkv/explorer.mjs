// The WKV explorer: RWKV-4's average of the values of 24 tokens in three channels, each with a decay w and a bonus u, stepping
// under a cursor: what every token weighs, the running sums, and what becomes of them without the running maximum.

import { choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { nearNumber, penOn, penStyle, writeByHand } from "../base/pen.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { MARGIN, compute, drawAverages, drawKeys, drawShares, drawSums, highestKey, roles } from "./drawing.mjs";
import { LIMITS, PRESETS, TOKENS, presetKeys, usualValues } from "./mathematics.mjs";
import { averageLines, bonusText, decayText, describeAll, lowered, said, shareLines, sumLines } from "./words.mjs";

const MOST_KEY = 200;
const SLOWEST = -3; // of the decays' slider, in powers of 10: below it, 0
const DECAYS = [0.02, 0.3, 2];
const BONUSES = [0, 1, -1];

const STYLE = `
.wkv-explorer canvas { height: 210px; flex-basis: 210px; }
.wkv-explorer .keys-plot canvas { touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }${penStyle("wkv-explorer")}
.wkv-explorer .reading { white-space: pre-line; font-size: .93em; min-height: 4.3em; }
.wkv-explorer .clock { display: block; font-size: 1em; margin-inline: calc(${MARGIN - 8}px + (100% - ${MARGIN + 14}px) / ${TOKENS + 1}) calc(6px + (100% - ${MARGIN + 14}px) / ${TOKENS + 1}); }
.wkv-explorer .clock input { display: block; width: 100%; }
.wkv-explorer .player { margin: .2em 0 0; justify-content: center; align-items: center; }
.wkv-explorer .player label { flex-direction: row; align-items: center; gap: .4em; }
.wkv-explorer .player label span { min-width: 1.5em; }
.wkv-explorer .now { min-width: 3.6em; font-variant-numeric: tabular-nums; }
@container (min-width: 600px) {
  .wkv-explorer .panels { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
}`;

const CONTROLS = {
  preset: choice("Keys", Object.entries(PRESETS).map(([name, { words }]) => [name, words]), { wide: true }),
  precision: choice("Precision", Object.keys(LIMITS).map((name) => [name, name])),
  selected: choice("Channel", [0, 1, 2].map((c) => [c, `channel ${c + 1}`])),
  decay: slider("w", { spoken: "decay w of the channel", min: SLOWEST, max: 1.3, step: 0.02, toSlider: (w) => Math.max(Math.log10(w), SLOWEST), fromSlider: (s) => (s <= SLOWEST ? 0 : Number((10 ** s).toPrecision(3))), text: decayText }),
  bonus: slider("u", { spoken: "bonus u of the channel", min: -10, max: 10, step: 0.1, text: bonusText }),
};

const BODY = `
<fieldset><legend>Keys and channels</legend>${html(CONTROLS, "preset", "precision", "selected", "decay", "bonus")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Tokens: the key k of each of ${TOKENS} tokens. Keys and values are the same in all three channels here; a decay w and a bonus u belong to each.</li>
  <li>Weights: what each token counts in y<sub>t</sub> at the cursor, in shares of all: e<sup>k<sub>i</sub> − (t−1−i) w</sup> for a token i of the past, e<sup>k<sub>t</sub> + u</sup> for the token itself.</li>
  <li>Sums: the logarithm of the denominator after each token. The broad line is exact; the dots are the plain recurrence, a ← e<sup>−w</sup> a + e<sup>k</sup> v and b ← e<sup>−w</sup> b + e<sup>k</sup>, with every result rounded to the chosen precision; the dashed line is the running maximum m of the recurrence that keeps a e<sup>m</sup> and b e<sup>m</sup>. Shaded is what the precision has no number for; a cross is where the plain recurrence is lost.</li>
  <li>Average: dots are the values v; lines the averages y of the three channels, in 64 bits with the maximum, that of the chosen channel strong.</li>
</ul></details>`;

const PLAYER = `
<label class="clock"><input type="range" name="time" aria-label="token t" min="0" max="${TOKENS - 1}" step="1"></label>
<fieldset class="player"><legend>Token</legend>
  <button type="button" name="back">Back</button><button type="button" name="step">Step</button><span class="now"></span>
  <label><span>key</span><input type="number" name="key" aria-label="key of the pen's token" min="${-MOST_KEY}" max="${MOST_KEY}" step="any"></label>
</fieldset>
<p class="hint">Drag a key. <span class="keys">Keys on the pen: left and right move it, up and down change the key, Page Up and Down by 10.</span></p>`;

// Keys that are given without a name are a choice of their own.
const defaults = (get) => ({ preset: get("k")?.length ? "custom" : "ordinary", precision: "float32", time: 16, selected: 0 });

function render(host) {
  const panel = new Panel(host, {
    name: "wkv-explorer", defaults, view: { pen: 6, decay: 0, bonus: 0 },
    also: Object.fromEntries(["k", "v", "w", "u"].map((name) => [name, () => Array.from(state[name])])),
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const field = (name) => panel.field(name);
  const plots = {
    keys: new Plot(figures, "keys-plot", `<strong>Tokens</strong>${key("dot", "panel-text", "keys k")}${key("dot", "panel-2", "now")}`),
    shares: new Plot(figures, "shares", `<strong>Weights in the average</strong>${key("bar", "panel-1", "past")}${key("bar", "panel-2", "own token")}`),
    sums: new Plot(figures, "sums", `<strong>Logarithm of the denominator</strong>${key("", "panel-text", "exact")}${key("dashed", "panel-3", "maximum m")}${key("dot", "panel-4", "without it")}`),
    averages: new Plot(figures, "averages", `<strong>Average y</strong>${key("", "panel-1", "channel 1")}${key("dashed", "panel-2", "2")}${key("dotted", "panel-3", "3")}`),
  };
  plots.keys.figure.insertAdjacentHTML("beforeend", PLAYER);
  for (const name of ["shares", "sums", "averages"]) plots[name].figure.insertAdjacentHTML("beforeend", `<p class="reading of-${name}"></p>`);
  const sheet = plots.keys.canvas;
  const pen = penOn(plots.keys, "Key of a token");

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.keys.width > 0) {
      const style = roles(panel.style);
      drawKeys(plots.keys, state, style);
      drawShares(plots.shares, state, shown, style);
      drawSums(plots.sums, state, shown, style);
      drawAverages(plots.averages, state, shown, style);
      placePen();
    }
    [state.decay, state.bonus] = [state.w[state.selected], state.u[state.selected]];
    panel.tell(".of-shares", shareLines(state, shown).join("\n"));
    panel.tell(".of-sums", sumLines(state, shown).join("\n"));
    panel.tell(".of-averages", averageLines(state, shown).join("\n"));
    showTime();
    return () => describe(shown);
  }

  function describe(shown) {
    const { k, time: t, selected: c } = state;
    panel.say(describeAll(state, shown));
    panel.describe(plots.keys, `Keys of ${TOKENS} tokens, from ${said(Math.min(...k))} to ${said(Math.max(...k))}; the cursor is at token ${t}, whose key is ${said(k[t])}.`);
    panel.describe(plots.shares, `Weights of channel ${c + 1}: ${shareLines(state, shown).join("; ")}.`);
    panel.describe(plots.sums, `Sums of channel ${c + 1} at token ${t}: ${sumLines(state, shown).join("; ")}.`);
    panel.describe(plots.averages, `Averages: ${averageLines(state, shown).join("; ")}.`);
  }

  function placePen() {
    const { pen: i, k } = state;
    pen.style.transform = `translate(${plots.keys.x(i)}px, ${plots.keys.y(k[i])}px)`;
    const words = { valuemin: -MOST_KEY, valuemax: MOST_KEY, valuenow: k[i], valuetext: `k${lowered(i)} = ${said(k[i])}` };
    for (const [name, value] of Object.entries(words)) pen.setAttribute(`aria-${name}`, value);
  }

  function showTime() {
    const { time, pen: i, k } = state;
    field("time").value = time;
    field("time").setAttribute("aria-valuetext", `t = ${time} of ${TOKENS - 1}`);
    field("back").disabled = time === 0;
    field("step").disabled = time === TOKENS - 1;
    panel.tell(".now", `t = ${time}`);
    panel.tell(".player label span", `k${lowered(i)}`);
    panel.write("key", k[i]);
  }

  // ---- state

  function take(get) {
    const numbers = (name, usual) => Float64Array.from(get(name)?.length ? get(name) : usual);
    state.k = numbers("k", presetKeys(state.preset));
    state.v = numbers("v", usualValues());
    state.w = numbers("w", DECAYS);
    state.u = numbers("u", BONUSES);
  }

  function changed(name) {
    if (name === "preset" && state.preset !== "custom") state.k = presetKeys(state.preset);
    if (name === "decay") state.w[state.selected] = state.decay;
    if (name === "bonus") state.u[state.selected] = state.bonus;
  }

  function write(i, value) {
    state.k[i] = held(Math.round(10 * value) / 10, -MOST_KEY, MOST_KEY); // short numbers, for who reads them
    Object.assign(state, { preset: "custom", pen: i });
    panel.schedule();
  }

  // ---- pen

  // The token and the key under a pointer.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { x, y } = plots.keys;
    const edge = highestKey(state.k) / 1.12; // so that the axis stays as it is
    const value = (plots.keys.box.bottom - (clientY - frame.top)) / (y(0) - y(1)) - highestKey(state.k);
    return [held(Math.round((clientX - frame.left - x(0)) / (x(1) - x(0))), 0, TOKENS - 1), held(value, -edge, edge)];
  }

  const near = nearNumber(plots.keys, place, (i) => plots.keys.y(state.k[i]));
  const begin = (at) => write(...at);
  const go = ([, value]) => write(state.pen, value);
  writeByHand(panel, plots.keys, pen, { place, near, begin, go, row: "k", of: "preset" });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const along = { ArrowLeft: -1, ArrowRight: 1, Home: -TOKENS, End: TOKENS }[event.key];
    const up = { ArrowUp: 0.5, ArrowDown: -0.5, PageUp: 10, PageDown: -10 }[event.key];
    if (along !== undefined) {
      state.pen = held(state.pen + along, 0, TOKENS - 1);
      panel.schedule();
    } else if (up !== undefined) {
      write(state.pen, state.k[state.pen] + up);
      panel.share();
    } else return;
    event.preventDefault();
  });

  panel.listen(field("key"), "input", () => {
    const given = field("key").valueAsNumber;
    if (!Number.isFinite(given)) return;
    write(state.pen, given);
    panel.share();
  });
  panel.listen(field("key"), "change", () => panel.schedule()); // what is used, once it is left

  // ---- time

  function stepTo(time) {
    state.time = held(time, 0, TOKENS - 1);
    panel.schedule();
  }
  for (const [name, step] of [["back", -1], ["step", 1]]) {
    panel.listen(field(name), "click", () => {
      stepTo(state.time + step);
      panel.share();
    });
  }
  panel.listen(field("time"), "input", () => stepTo(Number(field("time").value)));
  panel.listen(field("time"), "change", () => panel.share()); // once it is let go

  return panel.start(Object.values(plots));
}

export default { render };
