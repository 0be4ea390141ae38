// The recall explorer: H3 on a short sequence of tokens. A shift memory hands each key over one step late, the product of key and
// value writes the pair into a long memory, a table, and the query reads a row of it. Any of these can be broken.

import { OUR_KEYS, choice, html, line, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { Player, playerStyle } from "../base/player.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { fixed, lowered } from "../duality/words.mjs";
import { MARGIN, compute, drawAnswer, drawMemory, drawProduct, drawShift, drawTaps, heightOf, roles } from "./drawing.mjs";
import { MOST_TOKENS, SEQUENCES, TAPS, onlyTokens, presetTokens } from "./mathematics.mjs";
import { BROKEN, answerLine, describeAll, memoryLine, mixture, score, writingLine } from "./words.mjs";

const USUAL_TAPS = [0, 1, 0, 0];

const STYLE = `${playerStyle("recall-explorer", { margin: MARGIN, edge: 0.5 })}
.recall-explorer { --right: color-mix(in srgb, var(--panel-3) 45%, transparent); }
.recall-explorer [data-parameter=sequence] input { width: 15em; font-family: monospace; letter-spacing: .12em; }
.recall-explorer [data-parameter=broken] select { width: 17em; }
.recall-explorer :is(.product, .memory, .answer) canvas { height: 230px; flex-basis: 230px; }
.recall-explorer :is(.shift, .taps) canvas { height: 190px; flex-basis: 190px; }
.recall-explorer .taps canvas { touch-action: pan-y; cursor: grab; user-select: none; -webkit-user-select: none; }
.recall-explorer .taps canvas.idle { cursor: default; }
.recall-explorer .over { position: relative; }
.recall-explorer .tap { position: absolute; left: -8px; top: -8px; width: 16px; height: 16px; border: 2px solid var(--panel-text); border-radius: 50%; background: color-mix(in srgb, var(--panel-1) 60%, transparent); pointer-events: none; outline: none; }
.recall-explorer .tap:focus-visible { box-shadow: 0 0 0 3px var(--panel-2); }
.recall-explorer .idle .tap { opacity: .45; }
.recall-explorer .reading { white-space: pre-line; font-size: .93em; }
@container (min-width: 600px) {
  .recall-explorer .panels { grid-template: "shift shift" auto "taps product" auto "memory answer" auto / minmax(0, 1fr) minmax(0, 1fr); }
  .recall-explorer .shift { grid-area: shift; } .recall-explorer .taps { grid-area: taps; } .recall-explorer .product { grid-area: product; }
  .recall-explorer .memory { grid-area: memory; } .recall-explorer .answer { grid-area: answer; }
}
@container (min-width: 1000px) {
  .recall-explorer .panels { grid-template: "shift shift taps" auto "product memory answer" auto / minmax(0, 1fr) minmax(0, 1fr) minmax(0, 1fr); }
}`;

const CONTROLS = {
  preset: choice("Sequence", Object.entries(SEQUENCES).map(([name, { words }]) => [name, words]), { wide: true }),
  sequence: line("letters a to d, numbers 1 to 4", { most: MOST_TOKENS, clean: onlyTokens }),
  broken: choice("Broken", Object.entries(BROKEN), { wide: true }),
  decay: slider("λ", { spoken: "factor λ of the long memory", min: 0, max: 1, step: 0.01, text: (value) => fixed(value, 2), applies: ({ broken }) => broken !== "memory" }),
};

const BODY = `
<fieldset><legend>Sequence and parts</legend>${html(CONTROLS, "preset", "sequence", "broken", "decay")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Shift memory: under each token the tokens before it, which is what the state holds; the box is the state at the cursor. A row is as dark as its tap is large. The taps make of them the key that is handed over, k̃<sub>t</sub> = Σ c<sub>j</sub> k<sub>t−j</sub>. Query, key and value of a token are its one-hot vector.</li>
  <li>Product: k̃<sub>t</sub> v<sub>t</sub><sup>T</sup>, with a row for each key and a column for each value. Most of it is empty.</li>
  <li>Long memory: S<sub>t</sub> = λ S<sub>t−1</sub> + k̃<sub>t</sub> v<sub>t</sub><sup>T</sup>, one and the same λ for every cell, shaded up to its largest number (at least 1). The outline is the row that the query reads.</li>
  <li>Answer: o<sub>t</sub> = q<sub>t</sub> S<sub>t</sub>. Dark are the tokens that it names, those at its largest value; one below 0.1 names none. The ring, and the row <em>wanted</em>, is the token that followed the last time. In the row <em>answer</em>, a question mark is a tie and a dash is nothing.</li>
</ul></details>`;

// What is given without a name is a choice of its own.
const defaults = (get) => ({ preset: get("sequence") ? "custom" : "recall", broken: "nothing", decay: 1, time: 8 });

function render(host) {
  const panel = new Panel(host, {
    name: "recall-explorer", defaults, also: { sequence: () => state.sequence, taps: () => Array.from(state.taps) },
    view: { tap: 0 }, controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const plots = {
    shift: new Plot(figures, "shift", `<strong>Shift memory</strong>${key("bar", "panel-1", "handed over")}${key("bar", "right", "answered rightly")}`),
    taps: new Plot(figures, "taps", "<strong>Its taps c</strong>drag one"),
    product: new Plot(figures, "product", "<strong>Key × value</strong>what is written now"),
    memory: new Plot(figures, "memory", "<strong>Long memory S</strong>what was written so far"),
    answer: new Plot(figures, "answer", `<strong>Answer</strong>${key("bar", "panel-1", "named")}${key("ring", "panel-3", "wanted")}`),
  };
  const player = new Player(panel, plots.shift.figure, () => state.sequence.length);
  for (const name of ["taps", "product", "memory", "answer"]) plots[name].figure.insertAdjacentHTML("beforeend", `<p class="reading of-${name}"></p>`);
  const sheet = plots.taps.canvas;
  const over = Object.assign(document.createElement("div"), { className: "over" }); // begins where the sheet does
  const handles = Array.from({ length: TAPS }, (_, j) => {
    const handle = over.appendChild(Object.assign(document.createElement("span"), { className: "tap" }));
    const said = { role: "slider", tabindex: "0", "aria-label": `Tap of lag ${j}`, "aria-orientation": "vertical", "aria-valuemin": -1, "aria-valuemax": 1, [OUR_KEYS[0]]: OUR_KEYS[1] };
    for (const [name, value] of Object.entries(said)) handle.setAttribute(name, value);
    panel.listen(handle, "keydown", (event) => press(event, j));
    return handle;
  });
  sheet.before(over);

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.shift.width > 0) {
      const style = roles(panel.style);
      drawShift(plots.shift, state, shown, style);
      drawTaps(plots.taps, state, shown, style);
      drawProduct(plots.product, state, shown, style);
      drawMemory(plots.memory, state, shown, style);
      drawAnswer(plots.answer, state, shown, style);
      placeHandles(shown);
    }
    panel.tell(".of-taps", `Handed over: ${mixture(shown.key)}`);
    panel.tell(".of-product", writingLine(state, shown));
    panel.tell(".of-memory", memoryLine(state, shown));
    panel.tell(".of-answer", answerLine(state, shown));
    player.show();
    return !player.playing && (() => describe(shown));
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    panel.describe(plots.shift, `Shift memory at t = ${shown.now}: it hands over ${mixture(shown.key)}. ${score(shown)}`);
    panel.describe(plots.taps, `Taps of lags 0 to ${TAPS - 1}: ${Array.from(shown.taps, (value) => fixed(value, 2)).join(", ")}.`);
    panel.describe(plots.product, `At t = ${shown.now}: ${writingLine(state, shown)}.`);
    panel.describe(plots.memory, `Long memory: ${memoryLine(state, shown)}.`);
    panel.describe(plots.answer, `At t = ${shown.now}: ${answerLine(state, shown).replace("\n", ". ")}.`);
  }

  function placeHandles({ taps }) {
    const idle = state.broken === "shift";
    for (const node of [over, sheet]) node.classList.toggle("idle", idle);
    handles.forEach((handle, j) => {
      handle.style.transform = `translate(${plots.taps.x(j)}px, ${plots.taps.y(taps[j])}px)`;
      handle.setAttribute("aria-disabled", idle);
      handle.setAttribute("aria-valuenow", taps[j]);
      handle.setAttribute("aria-valuetext", `c${lowered(j)} = ${fixed(taps[j], 2)}`);
    });
  }

  // ---- state

  function take(get) {
    player.stop();
    const [sequence, taps] = [get("sequence"), get("taps")];
    takeSequence(sequence || presetTokens(state.preset));
    state.taps = Float64Array.from(taps?.length ? taps : USUAL_TAPS);
  }

  function takeSequence(sequence) {
    Object.assign(state, { sequence, time: Math.min(state.time, sequence.length - 1) });
    state.kept = sequence;
  }

  function changed(name) {
    if (name === "preset" && state.preset !== "custom") {
      takeSequence(presetTokens(state.preset));
      player.stop();
      state.time = state.sequence.length - 1; // where the question is
    }
    if (name === "sequence") {
      player.stop();
      const typed = state.sequence.length < 2 ? state.kept : state.sequence; // no sequence: the one before
      if (typed !== state.kept) state.preset = "custom";
      takeSequence(typed);
    }
  }

  // ---- taps

  function write(j, value) {
    state.taps[j] = held(Math.round(100 * value) / 100, -1, 1); // short numbers, for who reads the sums
    panel.schedule();
  }

  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { x } = plots.taps;
    return [held(Math.round((clientX - frame.left - x(0)) / (x(1) - x(0))), 0, TAPS - 1), heightOf(plots.taps, clientY - frame.top)];
  }
  const near = (event, reach) => {
    const [j] = place(event);
    const frame = sheet.getBoundingClientRect();
    return state.broken !== "shift" && Math.hypot(event.clientX - frame.left - plots.taps.x(j), event.clientY - frame.top - plots.taps.y(state.taps[j])) < reach;
  };
  let before = null; // the taps before one was touched
  panel.drag(sheet, {
    grab: (event) => {
      if (!near(event, event.pointerType === "mouse" ? 16 : 30)) return false;
      before = state.taps.slice();
      [state.tap] = place(event);
      handles[state.tap].focus({ preventScroll: true });
      return true;
    },
    move: (event) => write(state.tap, place(event)[1]),
    drop: (event) => {
      if (event.type === "pointercancel") state.taps = before; // the finger went on to scroll the page
      panel.schedule();
      panel.share();
    },
    holds: (touch) => near(touch, 30), // elsewhere a finger that moves up or down scrolls the page
  });

  function press(event, j) {
    if (event.ctrlKey || event.metaKey || event.altKey || state.broken === "shift") return;
    const many = event.shiftKey ? 4 : 1;
    const up = { ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key];
    const to = { Home: -1, End: 1 }[event.key];
    if (up === undefined && to === undefined) return;
    write(j, to ?? state.taps[j] + many * up);
    panel.share();
    event.preventDefault();
  }

  return panel.start(Object.values(plots));
}

export default { render };
