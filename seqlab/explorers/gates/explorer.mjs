// The gates explorer: a reader's hand on exponential input gates. A scalar memory runs behind them with and without its stabilizer,
// rounded as float16 or float32 rounds; a matrix memory is filled key by key behind the same gates.

import { choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { nearNumber, penOn, penStyle, strokes, writeByHand } from "../base/pen.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { LARGEST_GATE, LARGEST_SHIFT, compute, drawGates, drawMagnitudes, drawMatrix, drawOutput, drawRetrieval, roles } from "./drawing.mjs";
import { PRESETS, presetGates } from "./mathematics.mjs";
import { cellLines, describeAll, faults, fixed, outputLines, retrievalLines, told } from "./words.mjs";

const MOST_SIZE = 16;
const NARROWEST = 100; // pixels: a plot needs more than its margins, which a page may not have yet when it first lays out

const STYLE = `.gates-explorer { --written: color-mix(in srgb, var(--panel-text) 25%, transparent); }
.gates-explorer :is(.sheet, .magnitudes, .output) canvas { height: 240px; flex-basis: 240px; }
.gates-explorer :is(.matrix, .retrieval) canvas { height: 200px; flex-basis: 200px; }
.gates-explorer .sheet canvas { touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }${penStyle("gates-explorer")}
.gates-explorer .reading { white-space: pre-line; font-size: .93em; }
.gates-explorer .magnitudes .reading { min-height: 5.6em; }
.gates-explorer .key.ring::before { border: 2px solid var(--color); width: .75em; height: .75em; border-radius: 50%; vertical-align: -.05em; }
.gates-explorer .player { margin: .6em 0; align-items: center; }
.gates-explorer .player input { width: 10em; }
.gates-explorer .now { min-width: 6.5em; font-variant-numeric: tabular-nums; }
@container (min-width: 600px) {
  .gates-explorer .panels { grid-template: "sheet magnitudes" auto "output output" auto "matrix retrieval" auto / minmax(0, 1fr) minmax(0, 1fr); }
  .gates-explorer .sheet { grid-area: sheet; } .gates-explorer .magnitudes { grid-area: magnitudes; } .gates-explorer .output { grid-area: output; }
  .gates-explorer .matrix { grid-area: matrix; } .gates-explorer .retrieval { grid-area: retrieval; }
}
@container (min-width: 1000px) {
  .gates-explorer .panels { grid-template: "sheet magnitudes output" auto "matrix retrieval retrieval" auto / minmax(0, 1fr) minmax(0, 1fr) minmax(0, 1fr); }
}`;

const CONTROLS = {
  preset: choice("Input gates", Object.entries(PRESETS).map(([name, { words }]) => [name, words]), { wide: true }),
  precision: choice("Precision", [["float16", "float16"], ["float32", "float32"]]),
  readout: choice("Read out", [["slstm", "c / n"], ["mlstm", "c / max(|n|, 1)"]]),
  shift: slider("shift of i", { spoken: "shift of all input gates", min: -LARGEST_SHIFT, max: LARGEST_SHIFT, step: 0.5, text: fixed }),
  forget: choice("Forget gate", [["sigmoid", "σ(f)"], ["exp", "exp(f)"]]),
  f: slider("f", { spoken: "pre-activation f of the forget gate", min: -4, max: 8, step: 0.5, text: fixed }),
  key_vectors: choice("Keys", [["orthogonal", "Orthogonal"], ["scattered", "Scattered"]]),
  key_size: slider("key width", { min: 2, max: MOST_SIZE, step: 1 }),
};

const BODY = `
<fieldset><legend>Gates and memory</legend>${html(CONTROLS, ...Object.keys(CONTROLS))}</fieldset>
<fieldset class="player"><legend>Time</legend>
  <button type="button" name="back">Back</button><button type="button" name="step">Step</button><input type="range" name="time" aria-label="step t" min="1" step="1"><span class="now"></span>
</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Input gates: the pre-activation i<sub>t</sub>, shifted by what the slider says; the gate itself is e<sup>i</sup>. Grey: where e<sup>i</sup> is no number of the precision, too large above, rounded to 0 below.</li>
  <li>The scalar memory: c<sub>t</sub> = f′ c<sub>t−1</sub> + e<sup>i<sub>t</sub></sup> z<sub>t</sub> and n<sub>t</sub> = f′ n<sub>t−1</sub> + e<sup>i<sub>t</sub></sup>, where f′ is the forget gate, σ(f) or e<sup>f</sup>. With m: m<sub>t</sub> = max(log f′ + m<sub>t−1</sub>, i<sub>t</sub>) from m<sub>0</sub> = −∞, and c and n are kept divided by e<sup>m</sup>. Every product, sum, exponential and quotient is rounded to the precision.</li>
  <li>How large: n in powers of ten. Rings, without m: a cross where it has overflowed or become 0, at the height where it should be. Thick, with m. Dashed, e<sup>m</sup>.</li>
  <li>Output: bars are what was written, z<sub>t</sub>. Line: h in float64. Dots: with m. Rings: without; a cross at the bottom where that is no number. With m, the bound 1 of c / max(|n|, 1) is e<sup>−m</sup>.</li>
  <li>Matrix memory: C = Σ w<sub>j</sub> v<sub>j</sub> k<sub>j</sub><sup>T</sup> after step t, in float64, w<sub>j</sub> being what the gates leave of step j; keys of length 1, orthogonal ones beginning again after the last. Each key is read back by C k / max(|n · k|, 1); its error is relative to the length of its value.</li>
</ul></details>`;

const [WITHOUT, WITH] = [key("ring", "panel-2", "without m"), key("dot", "panel-1", "with m")];
const DEFAULTS = { precision: "float32", readout: "slstm", shift: 0, forget: "sigmoid", f: 4, key_vectors: "orthogonal", key_size: 8, time: 12 };

function render(host) {
  const panel = new Panel(host, {
    name: "gates-explorer", view: { pen: 4 },
    defaults: (get) => ({ ...DEFAULTS, preset: get("input_gates")?.length ? "custom" : "climb" }),
    also: { input_gates: () => Array.from(state.gates) },
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const field = (name) => panel.field(name);
  const plots = {
    sheet: new Plot(figures, "sheet", `<strong>Input gates i</strong>${key("bar", "panel-grid", "no e<sup>i</sup> there")}`),
    magnitudes: new Plot(figures, "magnitudes", `<strong>How large n is</strong>${key("ring", "panel-2", "without m")}${key("", "panel-1", "with m")}${key("dashed", "panel-4", "e<sup>m</sup>")}`),
    output: new Plot(figures, "output", `<strong>Output h</strong>${WITHOUT}${WITH}${key("bar", "written", "written")}`),
    matrix: new Plot(figures, "matrix", `<strong>Matrix memory</strong>${key("bar", "panel-1", "+")}${key("bar", "panel-2", "−")}`),
    retrieval: new Plot(figures, "retrieval", `<strong>Error of what each key reads back</strong>`),
  };
  for (const [name, said] of [["magnitudes", "numbers"], ["output", "read"], ["retrieval", "stored"]]) plots[name].figure.insertAdjacentHTML("beforeend", `<p class="reading ${said}"></p>`);
  plots.sheet.figure.insertAdjacentHTML("beforeend", '<p class="hint">Drag a gate. <span class="keys">Keys on the pen: left and right move it, up and down move the gate (Shift: farther).</span></p>');
  const sheet = plots.sheet.canvas;
  const pen = penOn(plots.sheet, "Input gate");

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.sheet.width > NARROWEST) {
      const style = roles(panel.style);
      drawGates(plots.sheet, state, shown, style);
      drawMagnitudes(plots.magnitudes, state, shown, style);
      drawOutput(plots.output, state, shown, style);
      drawMatrix(plots.matrix, state, shown, style);
      drawRetrieval(plots.retrieval, state, shown, style);
      placePen();
    }
    panel.tell(".numbers", cellLines(state, shown).join("\n"));
    panel.tell(".read", outputLines(state, shown).join("\n"));
    panel.tell(".stored", retrievalLines(state, shown.memory).join(", "));
    showTime();
    return () => describe(shown);
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    const wrong = faults(shown).join("; ") || "nothing overflows";
    panel.describe(plots.sheet, `Input gates of ${state.gates.length} steps, from ${fixed(Math.min(...shown.shifted))} to ${fixed(Math.max(...shown.shifted))}.`);
    panel.describe(plots.magnitudes, `How large n is. Without m ${wrong}; with m at most ${told(Math.max(...shown.stable.n))}; m ends at ${fixed(shown.exact.m.at(-1))}.`);
    panel.describe(plots.output, `Output at step ${state.time}: ${outputLines(state, shown).join("; ")}.`);
    panel.describe(plots.matrix, `The ${state.key_size} × ${state.key_size} numbers of the matrix memory after step ${state.time}.`);
    panel.describe(plots.retrieval, `${retrievalLines(state, shown.memory).join(", ")}.`);
  }

  function placePen() {
    const gate = state.gates[state.pen] + state.shift;
    pen.style.transform = `translate(${plots.sheet.x(state.pen + 1)}px, ${plots.sheet.y(gate)}px)`;
    const words = { valuemin: -LARGEST_GATE, valuemax: LARGEST_GATE, valuenow: state.gates[state.pen], valuetext: `gate of step ${state.pen + 1}: ${fixed(state.gates[state.pen])}` };
    for (const [name, value] of Object.entries(words)) pen.setAttribute(`aria-${name}`, value);
  }

  function showTime() {
    const { time, gates } = state;
    field("time").max = gates.length;
    field("time").value = time;
    field("time").setAttribute("aria-valuetext", `step ${time} of ${gates.length}`);
    field("back").disabled = time === 1;
    field("step").disabled = time === gates.length;
    panel.tell(".now", `t = ${time} of ${gates.length}`);
  }

  // ---- state

  function take(get) {
    const given = get("input_gates");
    takeGates(given?.length ? Float64Array.from(given) : presetGates(state.preset));
  }

  function takeGates(gates) {
    Object.assign(state, { gates, time: Math.min(state.time, gates.length), pen: Math.min(state.pen, gates.length - 1) });
  }

  function changed(name) {
    if (name === "preset" && state.preset !== "custom") takeGates(presetGates(state.preset));
  }

  // ---- pen

  // The step and the gate under a pointer, 0 where it is close to that.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { x, y } = plots.sheet;
    const slope = 1 / (y(1) - y(0));
    const gate = (clientY - frame.top - y(0)) * slope - state.shift;
    const i = Math.round((clientX - frame.left - x(0)) / (x(1) - x(0))) - 1;
    return [held(i, 0, state.gates.length - 1), held(gate, -LARGEST_GATE, LARGEST_GATE)];
  }

  function write(i, gate) {
    state.gates[i] = Math.round(2 * gate) / 2; // short numbers
    Object.assign(state, { preset: "custom", pen: i });
    panel.schedule();
  }

  const near = nearNumber(plots.sheet, place, (i) => plots.sheet.y(state.gates[i] + state.shift));
  writeByHand(panel, plots.sheet, pen, { place, near, ...strokes(write), row: "gates", of: "preset" });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = state.gates.length;
    const many = event.shiftKey ? 4 : 1;
    const along = { ArrowLeft: -many, ArrowRight: many, Home: -steps, End: steps }[event.key];
    const up = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (along !== undefined) {
      state.pen = held(state.pen + along, 0, steps - 1);
      panel.schedule();
    } else if (up !== undefined) {
      write(state.pen, held(state.gates[state.pen] + many * up, -LARGEST_GATE, LARGEST_GATE));
      panel.share();
    } else return;
    event.preventDefault();
  });

  // ---- time

  function stepTo(time) {
    state.time = held(time, 1, state.gates.length);
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
