// The eigenvalue explorer: drag the eigenvalues of a diagonal linear recurrence h_t = λ h_{t-1} + u_t about the unit disk
// and see what they do.

import { fromPairs, toPairs } from "../base/complex.mjs";
import { check, choice, html, slider, whole } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { Plot, key } from "../base/plot.mjs";
import { PointHands, pointFields } from "../base/points.mjs";
import { number } from "../base/words.mjs";
import { DISK_STYLE, Disk, LARGEST_RADIUS, SMALLEST_RADIUS } from "./disk.mjs";
import { FAN, compute, drawGradient, drawImpulse, drawMagnitude, drawMemory, roles } from "./drawing.mjs";
import { initialize } from "./mathematics.mjs";
import { INITIALIZATIONS, describeAll, describeMode, radiusText } from "./words.mjs";

const MOST_MODES = 256;
const DEFAULTS = {
  initialization: "ring", state_size: 32, r_min: 0.9, r_max: 0.999, max_phase: 2 * Math.PI, dt: 0.01, method: "zoh", seed: 0,
  horizon: 200, normalize: false, selected: 0,
};

const STYLE = `
.eigenvalue-explorer { --bar: color-mix(in srgb, var(--panel-1) 30%, transparent); }
${DISK_STYLE}.eigenvalue-explorer .point input[type=number]:not([name=selected]) { width: 5.7em; }
@container (min-width: 600px) {
  .eigenvalue-explorer .panels { grid-template: "disk impulse" 1fr "disk magnitude" 1fr "memory gradient" auto / minmax(0, 1.05fr) minmax(0, 1fr); }
  .eigenvalue-explorer .disk { grid-area: disk; } .eigenvalue-explorer .impulse { grid-area: impulse; } .eigenvalue-explorer .magnitude { grid-area: magnitude; }
  .eigenvalue-explorer .memory { grid-area: memory; } .eigenvalue-explorer .gradient { grid-area: gradient; }
}
@container (min-width: 1000px) {
  .eigenvalue-explorer .panels { grid-template: "impulse disk magnitude" 1fr "memory disk gradient" 1fr / minmax(0, 1fr) minmax(0, 1.1fr) minmax(0, 1fr); }
}`;

// A radius slider moves in powers of ten of the distance to the circle, where the differences that matter are.
const radius = (label, spoken) =>
  slider(label, { spoken, min: 0, max: 4, step: 0.01, toSlider: (r) => -Math.log10(Math.max(1 - r, 1e-4)), fromSlider: (s) => 1 - 10 ** -s, text: radiusText, applies: of("ring", "real") });
const of = (...initializations) => ({ initialization }) => initializations.includes(initialization);
const continuous = of("s4d_lin", "s4d_inv", "s4d_real", "hippo_legs");
const CONTROLS = {
  initialization: choice("Initialization", Object.entries(INITIALIZATIONS), { wide: true }),
  state_size: slider("modes N", { spoken: "number of modes N", min: 0, max: 8, step: 0.125, toSlider: Math.log2, fromSlider: (s) => Math.round(2 ** s), applies: ({ initialization }) => initialization !== "custom" }),
  r_min: radius("r<sub>min</sub>", "smallest radius r min"),
  r_max: radius("r<sub>max</sub>", "largest radius r max"),
  max_phase: slider("largest phase", { min: 0.01, max: 2, step: 0.01, toSlider: (angle) => angle / Math.PI, fromSlider: (s) => s * Math.PI, text: (angle) => `${number(angle / Math.PI)} π`, applies: of("ring") }),
  dt: slider("step dt", { min: -4, max: 0, step: 0.02, toSlider: Math.log10, fromSlider: (s) => 10 ** s, text: number, applies: continuous }),
  method: choice("Discretization", [["zoh", "zero-order hold"], ["bilinear", "bilinear"]], { applies: continuous }),
  seed: whole("Seed", { min: 0, max: 2 ** 32 - 1, applies: of("ring", "real", "glorot") }),
  horizon: choice("Steps shown", [50, 100, 200, 500, 1000].map((steps) => [steps, steps])),
  normalize: check("weigh each mode by its γ"),
  stretched: check("stretch the rim of the disk"),
};

const BODY = `
<fieldset><legend>Initialization</legend>${html(CONTROLS, "initialization", "state_size", "r_min", "r_max", "max_phase", "dt", "method", "seed")}</fieldset>
<fieldset><legend>View</legend>${html(CONTROLS, "horizon", "normalize", "stretched")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Each point is one mode h<sub>t</sub> = λ h<sub>t−1</sub> + w u<sub>t</sub> of N; the output is the mean of the real parts, so a point stands for its mirror image below the real axis too. The weight w is 1, or γ = √(1 − |λ|²) if you choose so.</li>
  <li>Impulse response: K<sub>t</sub> = (1/N) Σ w Re λ<sup>t</sup>; for the selected mode alone, w Re λ<sup>t</sup>.</li>
  <li>Magnitude response: |H(e<sup>iω</sup>)| with H the Fourier transform of K, (1/N) Σ (w/2) [1/(1 − λ e<sup>−iω</sup>) + 1/(1 − λ* e<sup>−iω</sup>)]. Where some |λ| ≥ 1 the transform diverges and this formula is drawn.</li>
  <li>Memory: half-life ln 2 / (−ln |λ|), after which half of what a mode held is left, against γ, the gain that keeps the variance of its state at 1 for white noise.</li>
  <li>Gradient norm: of ∂h<sub>t+k</sub>/∂h<sub>t</sub> = diag(λ<sup>k</sup>): root mean square and largest of |λ|<sup>k</sup>, and |λ|<sup>k</sup> of each mode as a thin line (of ${FAN} at most, from the shortest-lived to the longest).</li>
  <li>HiPPO-LegS and S4D give one eigenvalue of each conjugate pair, sampled with step dt.</li>
</ul></details>`;

const MEAN = key("", "panel-1", "mean");
const PICKED = key("", "panel-2", '<span class="selected-name"></span>');

const rounded = (value) => Number(value.toFixed(4));
const polar = (r, angle) => [r * Math.cos(angle), r * Math.sin(angle)];
const COORDINATES = {
  modulus: {
    label: "Modulus |λ|", min: SMALLEST_RADIUS, max: LARGEST_RADIUS,
    read: (re, im) => rounded(Math.hypot(re, im)),
    write: (r, re, im) => polar(Math.min(Math.max(r, SMALLEST_RADIUS), LARGEST_RADIUS), Math.atan2(im, re)),
  },
  phase: {
    label: "Phase / π", min: -1, max: 1,
    read: (re, im) => rounded(Math.atan2(im, re) / Math.PI),
    write: (turns, re, im) => polar(Math.min(Math.hypot(re, im), LARGEST_RADIUS), turns * Math.PI),
  },
};

function render(host) {
  const panel = new Panel(host, {
    name: "eigenvalue-explorer", defaults: () => DEFAULTS, view: { stretched: false }, also: { eigenvalues: () => toPairs(state.points) },
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state } = panel;
  const figure = panel.figures.appendChild(Object.assign(document.createElement("figure"), { className: "picture disk" }));
  const disk = new Disk(figure);
  figure.insertAdjacentHTML("beforeend", `${pointFields("mode", COORDINATES, { hint: "Drag a point" })}`);
  figure.querySelector(".point").insertAdjacentHTML("afterend", '<p class="reading"></p>');
  const plots = {
    impulse: new Plot(panel.figures, "impulse", `<strong>Impulse response</strong>${MEAN}${PICKED}`),
    magnitude: new Plot(panel.figures, "magnitude", `<strong>Magnitude response</strong>${MEAN}${PICKED}`),
    memory: new Plot(panel.figures, "memory", `<strong>Memory and γ</strong>${key("dot", "panel-1", "γ")}${key("bar", "bar", "count")}`),
    gradient: new Plot(panel.figures, "gradient", `<strong>Gradient norm</strong>${key("", "panel-1", "RMS")}${key("dashed", "panel-1", "largest")}${PICKED}`),
  };
  const hands = new PointHands(panel, disk, {
    word: "mode", most: MOST_MODES, coordinates: COORDINATES, byHand,
    moved(re, im, right, up) {
      const [x, y] = disk.screen(re, im);
      return disk.number(x + 0.01 * disk.unit * right, y - 0.01 * disk.unit * up);
    },
    beside: (re, im) => COORDINATES.phase.write((Math.atan2(im, re) + 0.2) / Math.PI, re, im), // a little further round
    within: (place) => Math.hypot(...place) < disk.unit,
  });

  function draw() {
    const shown = compute(state);
    if (plots.impulse.width > 0) {
      const style = roles(panel.style);
      drawImpulse(plots.impulse, state, shown, style);
      drawMagnitude(plots.magnitude, state, shown, style);
      drawMemory(plots.memory, state, shown, style);
      drawGradient(plots.gradient, state, shown, style);
    }
    disk.stretched = state.stretched;
    disk.drawBackground(state);
    disk.show(state, panel.sliding);
    disk.speak(state.selected, state.points);
    hands.showFields();
    panel.tell(".reading", `Mode ${state.selected + 1} of ${state.points.re.length}: ${describeMode(state.points, state.selected)}.`);
    return () => describe(shown);
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    for (let n = 0; n < state.points.re.length; n++) disk.speak(n, state.points);
    const { distances, rms, largest } = shown.gradient;
    const peak = shown.magnitude.indexOf(Math.max(...shown.magnitude));
    const last = shown.impulse.length - 1;
    panel.describe(plots.impulse, `Impulse response: the mean of the modes starts at ${number(shown.impulse[0])} and is ${number(shown.impulse[last])} after ${last} steps.`);
    panel.describe(plots.magnitude, `Magnitude response: the mean of the modes has gain ${number(shown.magnitude[0])} at the lowest frequency shown and its largest, ${number(shown.magnitude[peak])}, at ${number(shown.frequencies[peak] / Math.PI)} π radians a step.`);
    panel.describe(plots.memory, `Half-life and gain γ of each mode: half-lives from ${number(Math.min(...shown.halfLives))} to ${number(Math.max(...shown.halfLives))} steps.`);
    panel.describe(plots.gradient, `Gradient norm against distance: after ${number(distances.at(-1))} steps the root mean square is ${number(rms.at(-1))}, the largest ${number(largest.at(-1))}.`);
  }

  function take(get) {
    const given = get("eigenvalues") ?? [];
    hands.take(given.length ? fromPairs(given) : initialize(state));
  }

  function changed(name) {
    if (name === "r_min") state.r_max = Math.max(state.r_max, state.r_min);
    if (name === "r_max") state.r_min = Math.min(state.r_min, state.r_max);
    if (name in DEFAULTS && !["horizon", "normalize"].includes(name) && state.initialization !== "custom") {
      const drawn = initialize(state);
      if (drawn.re.length !== state.points.re.length) hands.take(drawn);
      else Object.assign(state, { points: drawn, hovered: null });
      if (CONTROLS[name].moves === "change") panel.glide(disk.svg);
    }
  }

  function byHand() {
    state.initialization = "custom";
  }

  return panel.start(Object.values(plots), [disk.svg], (_, width) => (disk.size = width));
}

export default { render };
