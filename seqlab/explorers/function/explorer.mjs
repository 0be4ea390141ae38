// Draw a function: the reader draws a signal, and four memories of N coefficients (HiPPO's LegS, LegT, LagT and Fourier)
// remember it as time passes.

import { OUR_KEYS, check, choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { number } from "../base/words.mjs";
import { MARGIN, drawCoefficients, drawErrors, drawSignal, longest, roles, tallest } from "./drawing.mjs";
import { MOST_ORDER } from "./mathematics.mjs";
import { MOMENTS, Memory, moments } from "./memory.mjs";
import { PRESETS, preset } from "./signals.mjs";
import { ALL, MEASURES, clock, describeAll, errorText } from "./words.mjs";

const DEFAULTS = { preset: "two_tones", order: 16, theta: 0.25, time: 410, measures: ALL };
const SAMPLES = 512;
const PLAY_SECONDS = 8;
const KNOTS = 32; // the pen stands in this many places, and lifts the curve up to its neighbors

const STYLE = `
.function-explorer .key.dashdot::before { border-top: 0; height: 3px; background: repeating-linear-gradient(to right, var(--color) 0 .55em, transparent .55em .75em, var(--color) .75em .9em, transparent .9em 1.1em); }
.function-explorer .measures .key { margin: 0; }
.function-explorer .measures b { min-width: 3.3em; }
.function-explorer .over { position: relative; }
.function-explorer .signal canvas { height: 300px; flex-basis: 300px; touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }
.function-explorer .coefficients canvas { height: 210px; flex-basis: 210px; }
.function-explorer .pen { position: absolute; left: -7px; top: -7px; width: 14px; height: 14px; border: 2px solid var(--panel-text); border-radius: 50%; background: color-mix(in srgb, var(--panel-text) 20%, transparent); pointer-events: none; outline: none; }
.function-explorer .pen:focus-visible { box-shadow: 0 0 0 3px var(--panel-2); }
.function-explorer .clock { display: block; margin-inline: ${MARGIN - 8}px 6px; font-size: 1em; }
.function-explorer .clock input { display: block; width: 100%; }
.function-explorer .player { margin: .2em 0 0; justify-content: center; align-items: center; }
.function-explorer .player button { min-width: 5.2em; }
.function-explorer .player output { margin: 0; }
@container (min-width: 600px) {
  .function-explorer .panels { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .function-explorer .signal { grid-column: 1 / -1; }
}`;

const CONTROLS = {
  preset: choice("Signal", [...Object.entries(PRESETS).map(([value, { name }]) => [value, name]), ["custom", "Drawn by hand"]], { wide: true }),
  order: slider("order N", { spoken: "order N, number of coefficients", min: 1, max: MOST_ORDER, step: 1 }),
  theta: slider("window θ", { spoken: "window theta", min: -1.7, max: 0, step: 0.02, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(3)), text: number, applies: ({ measures }) => measures.some((measure) => measure !== "legs") }),
  ...Object.fromEntries(ALL.map((measure) => {
    const { name, kind, color } = MEASURES[measure];
    return [measure, check(`${key(kind, `panel-${color + 1}`, name)} <b data-error="${measure}"></b>`)];
  })),
};

const BODY = `
<fieldset><legend>Signal and memory</legend>${html(CONTROLS, "preset", "order", "theta")}</fieldset>
<fieldset class="measures"><legend>Measures, with the error of each now</legend>${html(CONTROLS, ...ALL)}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>The signal lasts 1 and each of its samples holds until the next. Bold and gray: what has been seen up to now; thin: what is still to come.</li>
  <li>Each memory holds N coefficients c<sub>n</sub> and nothing else. Its curve is what they tell of the past, f(t − θs) ≈ Σ c<sub>n</sub> g<sub>n</sub>(s), s windows ago.</li>
  <li>Shaded beneath, how much each time ago weighs. LegS: the whole history evenly, so its window grows. LegT and Fourier: the last θ evenly. LagT: e<sup>−s</sup>, the weight that its functions g<sub>n</sub> = e<sup>−s/2</sup> L<sub>n</sub>(s) carry in themselves.</li>
  <li>LegS steps by the bilinear rule with 1/t taken where it stands; the others by (I − A/2 · dt/θ)<sup>−1</sup>(I + A/2 · dt/θ), a matrix that never changes. All start from nothing, as if the signal had been 0 before. With an even N, Fourier has a last cosine without its sine.</li>
  <li>Error: root mean square of signal minus reconstruction over the window (LagT: over all that was seen), in the units of the signal, at evenly spaced times, the signal taken as the line that is drawn; the plot shows it at ${MOMENTS} moments.</li>
</ul></details>`;

const PLAYER = `
<label class="clock"><input type="range" name="time" aria-label="time" min="1" step="1"></label>
<fieldset class="player"><legend>Time</legend>
  <button type="button" name="play">Play</button><span class="now"></span>
</fieldset>
<p class="hint">Draw on the sheet. <span class="keys">Keys on the pen: left and right move it, up and down lift or lower the curve there (Shift: farther).</span></p>`;

function render(host) {
  const panel = new Panel(host, {
    name: "function-explorer", defaults: () => DEFAULTS,
    also: { signal: () => shared, coefficients: () => Object.fromEntries(visible().map((measure) => [measure, Array.from(memories[measure].coefficients(state))])) },
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state } = panel;
  const field = (name) => panel.field(name);
  const plots = {
    signal: new Plot(panel.figures, "signal", "<strong>Signal, and what is remembered of it</strong>"),
    coefficients: new Plot(panel.figures, "coefficients", "<strong>Coefficients now</strong>"),
    errors: new Plot(panel.figures, "errors", "<strong>Error as time passes</strong>"),
  };
  const sheet = plots.signal.canvas;
  const pen = document.createElement("span");
  pen.className = "pen";
  const over = document.createElement("div"); // begins where the sheet does
  over.className = "over";
  over.append(pen);
  sheet.before(over);
  for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-label": "Pen", "aria-orientation": "vertical", [OUR_KEYS[0]]: OUR_KEYS[1] })) pen.setAttribute(name, value);
  plots.signal.figure.insertAdjacentHTML("beforeend", PLAYER);
  const memories = Object.fromEntries(ALL.map((measure) => [measure, new Memory(measure)]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let shared = []; // the signal that the model holds: a copy, made when the hand lets go
  let history = {};
  let edits = 0; // of the signal
  let playing = null; // the time at which playing was at state.time = 0

  // ---- drawing

  const visible = () => ALL.filter((measure) => state.measures.includes(measure));
  const version = () => [state.version, state.order, state.theta, ...visible()].join();

  function draw() {
    if (playing !== null) advance();
    const shown = visible().map((measure) => memories[measure].look(state));
    const stale = history.version !== version();
    if (plots.signal.width > 0) {
      drawSignal(plots.signal, state, shown, roles(panel.style));
      drawCoefficients(plots.coefficients, state, shown, panel.style);
      drawErrors(plots.errors, state, shown, history, stale, panel.style);
      placePen();
    }
    showButton();
    field("time").max = state.signal.length;
    field("time").value = state.time;
    field("time").setAttribute("aria-valuetext", `time ${clock(state.time, state.signal.length)} of 1`);
    panel.tell(".now", `t = ${clock(state.time, state.signal.length)}`);
    for (const measure of ALL) {
      const found = shown.find((memory) => memory.measure === measure);
      panel.tell(`[data-error="${measure}"]`, found ? errorText(found.error) : "");
    }
    return playing === null && (() => rest(shown, stale));
  }

  function rest(shown, stale) {
    if (stale) takeHistory();
    panel.say(describeAll(state, shown));
    const { signal, time, order } = state;
    const names = shown.map(({ measure }) => MEASURES[measure].name).join(", ") || "nothing";
    panel.describe(plots.signal, `The signal, seen up to time ${clock(time, signal.length)} of 1, and over it what is remembered by ${names}.`);
    panel.describe(plots.coefficients, `The ${order} coefficients of each measure; the longest bar stands for ${number(longest(shown))}.`);
    panel.describe(plots.errors, `Error as time passes, at the end ${shown.map(({ measure }) => `${MEASURES[measure].name} ${errorText(history[measure].at(-1))}`).join(", ") || "of nothing, 0"}.`);
  }

  function takeHistory() {
    history = { version: version() };
    for (const measure of visible()) history[measure] = moments(state.signal.length).map((seen) => memories[measure].look(state, seen).error);
    panel.schedule();
  }

  function placePen() {
    const { signal } = plots;
    const i = state.pen;
    const value = state.signal[i];
    const time = (i + 0.5) / state.signal.length;
    pen.style.transform = `translate(${signal.x(time)}px, ${signal.y(value)}px)`;
    const top = tallest(state.signal);
    for (const [name, at] of Object.entries({ valuemin: -top, valuemax: top, valuenow: value })) pen.setAttribute(`aria-${name}`, at.toFixed(3));
    pen.setAttribute("aria-valuetext", `time ${time.toFixed(3)}, height ${value.toFixed(2)}`);
  }

  const showButton = () => panel.tell("[name=play]", playing === null ? "Play" : "Pause");

  // ---- state

  function take(get) {
    const given = get("signal") ?? [];
    if (state.pen === undefined) playing = null; // all begins anew
    for (const measure of ALL) state[measure] = state.measures.includes(measure);
    takeSignal(given.length ? Float64Array.from(given) : preset(state.preset, SAMPLES), state.preset);
  }

  function takeSignal(signal, name) {
    const samples = state.signal?.length ?? signal.length;
    Object.assign(state, { signal, preset: name, time: Math.min(state.time, signal.length), pen: state.pen ?? Math.round(samples / 4) });
    if (samples !== signal.length) state.pen = Math.round(((state.pen + 0.5) * signal.length) / samples - 0.5);
    changedFrom(0);
    settleSignal();
  }

  // The signal is another from sample i on.
  function changedFrom(i) {
    state.version = ++edits;
    for (const memory of Object.values(memories)) memory.forget(i);
  }

  function settleSignal() {
    shared = Array.from(state.signal);
  }

  function byHand(i) {
    changedFrom(i);
    state.preset = "custom";
    panel.schedule();
  }

  function changed(name) {
    if (name === "preset" && state.preset !== "custom") takeSignal(preset(state.preset, SAMPLES), state.preset);
    if (ALL.includes(name)) state.measures = ALL.filter((measure) => state[measure]);
  }

  // ---- pen

  // The sample and the height under a pointer, held inside the sheet.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { left, right } = plots.signal.box;
    const samples = state.signal.length;
    const top = tallest(state.signal);
    const [high, low] = [plots.signal.y(top), plots.signal.y(-top)];
    const across = (clientX - frame.left - left) / (right - left);
    const up = (clientY - frame.top - low) / (high - low);
    return [held(Math.floor(across * samples), 0, samples - 1), top * (2 * held(up, 0, 1) - 1)];
  }

  const near = (touch) => {
    const [i, value] = place(touch);
    return Math.abs(plots.signal.y(value) - plots.signal.y(state.signal[i])) < 30;
  };

  let last = null; // where the pen was
  let before = null; // the signal before it was lifted
  function trace([i, value]) {
    const [from, height] = last;
    const many = Math.abs(i - from);
    for (let step = many ? 1 : 0; step <= many; step++) {
      const share = many ? step / many : 1;
      state.signal[from + step * Math.sign(i - from)] = height + share * (value - height);
    }
    last = [i, value];
    state.pen = i;
    byHand(Math.min(from, i));
  }

  let onCurve = false;
  panel.drag(sheet, {
    grab: (event) => {
      onCurve = near(event);
      before = { signal: state.signal.slice(), preset: state.preset };
      pen.focus({ preventScroll: true });
      last = place(event);
      trace(last);
      return true;
    },
    move: (event) => {
      for (const part of event.getCoalescedEvents?.() ?? []) trace(place(part));
      trace(place(event));
    },
    drop: (event) => {
      if (event.type === "pointercancel") { // the finger went on to scroll the page
        takeSignal(before.signal, before.preset);
      } else settleSignal();
      panel.schedule();
      panel.share();
    },
    holds: () => onCurve, // elsewhere a finger that moves up or down scrolls the page
  });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const samples = state.signal.length;
    const spacing = Math.max(1, Math.round(samples / KNOTS));
    const many = event.shiftKey ? 4 : 1;
    const along = { ArrowLeft: -many * spacing, ArrowRight: many * spacing, Home: -samples, End: samples }[event.key];
    const up = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.2, PageDown: -0.2 }[event.key];
    if (along !== undefined) {
      state.pen = Math.min(Math.max(state.pen + along, 0), samples - 1);
      panel.schedule();
    } else if (up !== undefined) {
      const top = tallest(state.signal);
      const first = Math.max(0, state.pen - spacing);
      for (let i = first; i <= Math.min(samples - 1, state.pen + spacing); i++) {
        const raised = state.signal[i] + many * up * (1 - Math.abs(i - state.pen) / (spacing + 1));
        state.signal[i] = Math.min(Math.max(raised, -top), top);
      }
      byHand(first);
      settleSignal();
      panel.share();
    } else return;
    event.preventDefault();
  });

  // ---- time

  // Playing goes from the first sample to the last; where motion is not welcome, in sixteen still pictures.
  function advance() {
    const samples = state.signal.length;
    const passed = (performance.now() - playing) / 1000 / PLAY_SECONDS;
    const part = calm.matches ? Math.floor(16 * passed) / 16 : passed;
    state.time = Math.min(Math.max(Math.round(part * samples), 1), samples);
    if (state.time === samples) pause();
    else panel.schedule();
  }

  function pause() {
    if (playing === null) return;
    playing = null;
    panel.schedule();
    panel.share();
  }

  panel.listen(field("play"), "click", () => {
    if (playing !== null) pause();
    else {
      const samples = state.signal.length;
      const start = state.time === samples ? 0 : state.time / samples;
      playing = performance.now() - 1000 * PLAY_SECONDS * start;
      if (history.version !== version()) takeHistory();
      panel.schedule();
    }
    showButton(); // it says at once what it does next
  });
  panel.listen(field("time"), "input", () => {
    playing = null;
    state.time = Number(field("time").value);
    panel.schedule();
  });
  panel.listen(field("time"), "change", () => panel.share()); // once it is let go

  return panel.start(Object.values(plots));
}

export default { render };
