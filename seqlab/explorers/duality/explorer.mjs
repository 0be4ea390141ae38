// The duality explorer: one diagonal state-space model, x_t = λ x_{t-1} + u_t and y the mean of Re x, run in two ways at once. On
// one side the recurrence steps, on the other the kernel slides, flipped, over the input, and both land on the same sample.

import { fromPairs, joined, toPairs, without } from "../base/complex.mjs";
import { choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { nearNumber, penOn, penStyle, strokes, writeByHand } from "../base/pen.mjs";
import { Player, playerStyle } from "../base/player.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { PointHands, pointFields } from "../base/points.mjs";
import { DISK_STYLE, Disk, LARGEST_RADIUS, SMALLEST_RADIUS } from "../eigenvalues/disk.mjs";
import { phaseText, radiusText } from "../eigenvalues/words.mjs";
import { MARGIN, compute, drawConvolution, drawKernel, drawOutput, drawState, roles, tallest } from "./drawing.mjs";
import { INPUTS, MODES, presetModes, presetSignal } from "./mathematics.mjs";
import { describeAll, describeMode, fixed, kernelLines, lowered, stepLines, sumLines } from "./words.mjs";

const MOST_MODES = 4;

const STYLE = `${DISK_STYLE}${playerStyle("duality-explorer", { margin: MARGIN, edge: 1 })}
.duality-explorer { --product: color-mix(in srgb, var(--panel-1) 35%, transparent); }
.duality-explorer :is(.state, .convolution) canvas { height: 250px; flex-basis: 250px; }
.duality-explorer .convolution canvas { touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }${penStyle("duality-explorer")}
.duality-explorer .reading { white-space: pre-line; font-size: .93em; }
.duality-explorer :is(.step, .sum) { min-height: 7em; }
@container (min-width: 600px) {
  .duality-explorer .panels { grid-template: "disk kernel" auto "state convolution" auto "output output" auto / minmax(0, 1fr) minmax(0, 1fr); }
  .duality-explorer .disk { grid-area: disk; } .duality-explorer .kernel { grid-area: kernel; } .duality-explorer .state { grid-area: state; }
  .duality-explorer .convolution { grid-area: convolution; } .duality-explorer .output { grid-area: output; }
}
@container (min-width: 1000px) {
  .duality-explorer .panels { grid-template: "disk state convolution" auto "kernel output output" auto / minmax(0, .85fr) minmax(0, 1fr) minmax(0, 1fr); }
}`;

const CONTROLS = {
  modes: choice("Modes", Object.entries(MODES).map(([name, { words }]) => [name, words]), { wide: true }),
  input: choice("Input", Object.entries(INPUTS).map(([name, { words }]) => [name, words]), { wide: true }),
  state_size: slider("modes N", { spoken: "number of modes N", min: 1, max: MOST_MODES, step: 1 }),
  radius: slider("|λ|", { spoken: "modulus of the selected mode", min: 0, max: 1, step: 0.005, fromSlider: inside, text: radiusText }),
  angle: slider("phase", { spoken: "phase of the selected mode", min: -1, max: 1, step: 0.01, toSlider: (angle) => angle / Math.PI, fromSlider: (s) => s * Math.PI, text: phaseText }),
};

const BODY = `
<fieldset><legend>Modes and input</legend>${html(CONTROLS, "modes", "input", "state_size", "radius", "angle")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Each point of the disk is one mode of N, an entry λ of Ā; B̄ is 1 and C is 1/N, so the output is the mean of the real parts: y<sub>t</sub> = (1/N) Σ Re x<sub>t</sub>, where x<sub>t</sub> = λ x<sub>t−1</sub> + u<sub>t</sub> and the state before the first sample is 0.</li>
  <li>State: where the selected mode's has been and, faint, where it will go. Dashed, the last step's turn and shrinking from x<sub>t−1</sub> to λ x<sub>t−1</sub>; then, along the real axis, what the sample u<sub>t</sub> adds. Dotted, down to the real part. The picture follows the selected mode; where others are in sight, each ends in a filled dot.</li>
  <li>Kernel: K<sub>j</sub> = (1/N) Σ Re λ<sup>j</sup>, the answer to an impulse. Strong: what has come into use by the cursor. The line is the selected mode's alone.</li>
  <li>Convolution: the input u<sub>s</sub>, over it the kernel with its time turned round, K<sub>t−s</sub>, so that K<sub>0</sub> stands at the cursor, and shaded their products. Nothing stands to the right of the cursor: the kernel is causal.</li>
  <li>Output: the ring is what the state puts out, the dot what the sum of the products is; one comes from the loop over time, the other from the kernel. Behind the cursor every sample was made so, faint ones are still to come.</li>
</ul></details>`;

const PICKED = key("", "panel-2", '<span class="selected-name"></span>');
const [FROM_STATE, FROM_SUM] = [key("ring", "panel-2", "from the state"), key("dot", "panel-1", "from the sum")];

function inside(r) {
  return held(r, SMALLEST_RADIUS, LARGEST_RADIUS);
}
const polar = (r, angle) => [r * Math.cos(angle), r * Math.sin(angle)];
const further = (re, im) => polar(inside(Math.hypot(re, im)), Math.atan2(im, re) + Math.PI / 5); // round the disk

// What is given without a name is a choice of its own.
function defaults(get) {
  const unnamed = (name, usual) => (get(name)?.length ? "custom" : usual);
  return { modes: unnamed("eigenvalues", "oscillation"), input: unnamed("signal", "two_pulses"), time: 12, selected: 0 };
}

function render(host) {
  const panel = new Panel(host, {
    name: "duality-explorer", defaults, view: { pen: 4, state_size: 1, radius: 1, angle: 0 },
    also: { eigenvalues: () => toPairs(state.points), signal: () => Array.from(state.signal) },
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const field = (name) => panel.field(name);
  const figure = figures.appendChild(Object.assign(document.createElement("figure"), { className: "picture disk" }));
  figure.innerHTML = `<figcaption><strong>Modes λ</strong>${PICKED}</figcaption>`;
  const disk = new Disk(figure);
  figure.insertAdjacentHTML("beforeend", pointFields("mode", {}));
  const plots = {
    kernel: new Plot(figures, "kernel", `<strong>Kernel</strong>${key("dot", "panel-1", "K")}${PICKED}`),
    state: new Plot(figures, "state", `<strong>Recurrence: the state steps</strong>${key("dashed", "panel-text", "× λ")}${key("", "panel-3", "+ u")}`),
    convolution: new Plot(figures, "convolution", `<strong>Convolution: the kernel slides</strong>${key("dot", "panel-text", "input")}${key("", "panel-1", "kernel, flipped")}${key("bar", "product", "products")}`),
    output: new Plot(figures, "output", `<strong>Output y</strong>${FROM_STATE}${FROM_SUM}`),
  };
  for (const [name, said] of [["kernel", "ends"], ["state", "step"], ["convolution", "sum"]]) plots[name].figure.insertAdjacentHTML("beforeend", `<p class="reading ${said}"></p>`);
  plots.convolution.figure.insertAdjacentHTML("beforeend", '<p class="hint">Drag a sample of the input. <span class="keys">Keys on the pen: left and right move it, up and down lift or lower the sample.</span></p>');
  const player = new Player(panel, plots.output.figure, () => state.signal.length);
  const sheet = plots.convolution.canvas;
  const pen = penOn(plots.convolution, "Sample of the input");

  const hands = new PointHands(panel, disk, {
    word: "mode", most: MOST_MODES, coordinates: {}, beside: further,
    byHand: () => (state.modes = "custom"),
    moved(re, im, right, up) {
      const [x, y] = disk.screen(re, im);
      return disk.number(x + 0.01 * disk.unit * right, y - 0.01 * disk.unit * up);
    },
    within: (place) => Math.hypot(...place) < disk.unit,
  });

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.state.width > 0) {
      const style = roles(panel.style);
      drawState(plots.state, state, shown, style);
      drawKernel(plots.kernel, state, shown, style);
      drawConvolution(plots.convolution, state, shown, style);
      drawOutput(plots.output, state, shown, style);
      placePen();
    }
    disk.drawBackground(state);
    disk.show(state, panel.sliding);
    disk.speak(state.selected, state.points);
    hands.showFields();
    const [re, im] = hands.at(state.selected);
    Object.assign(state, { radius: Math.hypot(re, im), angle: Math.atan2(im, re) });
    panel.tell(".ends", kernelLines(state, shown).join("\n"));
    panel.tell(".step", stepLines(state, shown).join("\n"));
    panel.tell(".sum", sumLines(state, shown).join("\n"));
    player.show();
    return !player.playing && (() => describe(shown));
  }

  function describe(shown) {
    const { time: t, signal, points } = state;
    panel.say(describeAll(state, shown));
    for (let n = 0; n < points.re.length; n++) disk.speak(n, points);
    panel.describe(plots.state, `State of mode ${state.selected + 1}: ${stepLines(state, shown).slice(0, 3).join(" ")}.`);
    panel.describe(plots.kernel, `Kernel: from ${fixed(shown.kernel[0])} at lag 0 to ${fixed(shown.kernel.at(-1))} at lag ${signal.length - 1}; of mode ${state.selected + 1}, ${describeMode(points, state.selected)}.`);
    panel.describe(plots.convolution, `Convolution at time ${t}: ${sumLines(state, shown).join(" ")}.`);
    panel.describe(plots.output, `Output: ${fixed(shown.stepped, 6)} from the state and ${fixed(shown.summed, 6)} from the sum at time ${t}.`);
  }

  function placePen() {
    const { convolution } = plots;
    const { pen: i, signal } = state;
    const top = tallest(signal) / 1.12;
    pen.style.transform = `translate(${convolution.x(i)}px, ${convolution.y(signal[i])}px)`;
    const words = { valuemin: -top, valuemax: top, valuenow: signal[i], valuetext: `u${lowered(i)} = ${fixed(signal[i], 2)}` };
    for (const [name, value] of Object.entries(words)) pen.setAttribute(`aria-${name}`, value);
  }

  // ---- state

  function take(get) {
    player.stop();
    const [modes, signal] = [get("eigenvalues"), get("signal")].map((given) => (given?.length ? given : null));
    hands.take(modes ? fromPairs(modes) : presetModes(state.modes));
    takeSignal(signal ? Float64Array.from(signal) : presetSignal(state.input));
  }

  function takeSignal(signal) {
    const last = signal.length - 1;
    Object.assign(state, { signal, time: Math.min(state.time, last), pen: Math.min(state.pen, last) });
  }

  function changed(name) {
    if (name === "modes" && state.modes !== "custom") {
      hands.take(presetModes(state.modes));
      panel.glide(disk.svg);
    }
    if (name === "input" && state.input !== "custom") takeSignal(presetSignal(state.input));
    if (name === "state_size") resize(state.state_size);
    if (name === "radius" || name === "angle") hands.move(state.selected, ...polar(state.radius, state.angle));
  }

  function resize(size) {
    let { points } = state;
    while (points.re.length < size) points = joined(points, ...further(points.re.at(-1), points.im.at(-1)));
    while (points.re.length > size) points = without(points, points.re.length - 1);
    state.modes = "custom";
    hands.take(points);
  }

  // ---- pen

  // The sample and the height under a pointer, 0 where it is close to that.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { x, y } = plots.convolution;
    const top = tallest(state.signal) / 1.12;
    const value = (top * (y(0) - (clientY - frame.top))) / (y(0) - y(top));
    const i = Math.round((clientX - frame.left - x(0)) / (x(1) - x(0)));
    return [held(i, 0, state.signal.length - 1), Math.abs(value) < 0.05 * top ? 0 : held(value, -top, top)];
  }

  function write(i, value) {
    state.signal[i] = Math.round(100 * value) / 100; // short numbers, for who reads the products
    Object.assign(state, { input: "custom", pen: i });
    panel.schedule();
  }

  const near = nearNumber(plots.convolution, place, (i) => plots.convolution.y(state.signal[i]));
  writeByHand(panel, plots.convolution, pen, { place, near, ...strokes(write), row: "signal", of: "input" });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const samples = state.signal.length;
    const many = event.shiftKey ? 4 : 1;
    const along = { ArrowLeft: -many, ArrowRight: many, Home: -samples, End: samples }[event.key];
    const up = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key];
    if (along !== undefined) {
      state.pen = held(state.pen + along, 0, samples - 1);
      panel.schedule();
    } else if (up !== undefined) {
      const top = tallest(state.signal) / 1.12;
      write(state.pen, held(state.signal[state.pen] + many * up, -top, top));
      panel.share();
    } else return;
    event.preventDefault();
  });

  return panel.start(Object.values(plots), [disk.svg], (_, width) => (disk.size = width));
}

export default { render };
