// The pole playground: drag the poles s of x' = s x + u about the s-plane, choose how time is cut into steps of dt, and
// watch their images in the z-plane and the impulse response of x_k = A_bar x_{k-1} + B_bar u_k beside that of x'.
// A pole, its image and the samples' fate are marked alike in both planes.

import { fromPairs, toPairs } from "../base/complex.mjs";
import { check, choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { PointHands, fromMiddle, pointFields } from "../base/points.mjs";
import { complexText, number, signed } from "../base/words.mjs";
import { DASHES, MOST_DRAWN, STEPS, compute, drawError, drawImpulse, drawOrder, roles } from "./drawing.mjs";
import { PRESETS, images, presetPoles } from "./mathematics.mjs";
import { Plane, SHAPES, drawSPlane, drawZPlane } from "./planes.mjs";
import { METHODS, describeAll, describePole, modulusAt, shareText } from "./words.mjs";

const MOST_POLES = 64;

const STYLE = `
.pole-explorer { --continuous: var(--panel-1); --sampled: var(--panel-2); }
.pole-explorer .plane > svg { overflow: hidden; border-radius: 4px; background: var(--panel-inside); }
.pole-explorer .z > svg { touch-action: auto; }
.pole-explorer .plane path { vector-effect: non-scaling-stroke; }
.pole-explorer .region { fill: var(--series); fill-opacity: .14; }
.pole-explorer .grid { stroke: var(--panel-grid); stroke-opacity: .55; fill: none; }
.pole-explorer .axis { stroke: var(--panel-text); stroke-opacity: .45; fill: none; }
.pole-explorer .rim { stroke: var(--panel-text); stroke-width: 1.5; fill: none; }
.pole-explorer .strip { stroke: var(--panel-text); stroke-dasharray: 6 4; fill: none; }
.pole-explorer .frequencies { stroke: var(--series); stroke-width: 3; stroke-opacity: .8; fill: none; }
.pole-explorer .s { --series: var(--continuous); }
.pole-explorer .z { --series: var(--sampled); }
.pole-explorer .plane g:not(:first-child) path { fill: var(--series); stroke: var(--series); stroke-width: 1; outline: none; }
.pole-explorer .plane g:nth-child(2) path { fill: none; }
.pole-explorer .plane g:nth-child(3) [data-fate=unstable] { fill: none; stroke-width: 2.5; }
.pole-explorer .plane g:nth-child(3) .hovered { stroke: var(--panel-text); stroke-width: 2; }
.pole-explorer .plane g:nth-child(3) .selected { stroke: var(--panel-text); stroke-width: 2.5; }
.pole-explorer .s g:nth-child(3) path:focus-visible { stroke: var(--panel-text); stroke-width: 5; }
.pole-explorer .plane .crowd { fill: none; stroke: var(--series); stroke-width: 1; pointer-events: none; }
.pole-explorer .plane .crowd.filled { fill: var(--series); }
.pole-explorer .plane .crowd.hollow { stroke-width: 2.5; }
.pole-explorer .plane .crowded g:not(:first-child) path:not(.selected) { visibility: hidden; }
.pole-explorer .drawn { white-space: nowrap; margin-inline-end: .9em; }
.pole-explorer .drawn svg { vertical-align: -.15em; margin-inline-end: .3em; overflow: visible; }
.pole-explorer .drawn path { fill: none; stroke: var(--panel-text); stroke-width: 1.3; vector-effect: non-scaling-stroke; }
.pole-explorer .reading { min-height: 7em; }
.pole-explorer .markers { margin: 0 0 .5em; font-size: .93em; }
.pole-explorer .markers .drawn svg { width: 16px; }
.pole-explorer .markers path { fill: var(--panel-text); }
.pole-explorer .markers .unstable { fill: none; stroke-width: 2.5; }
.pole-explorer .key.bar::before { opacity: .3; }
@container (min-width: 600px) {
  .pole-explorer .panels { grid-template: "s z" auto "impulse order" auto "error order" auto / minmax(0, 1fr) minmax(0, 1fr); }
  .pole-explorer .s { grid-area: s; } .pole-explorer .z { grid-area: z; } .pole-explorer .impulse { grid-area: impulse; }
  .pole-explorer .error { grid-area: error; } .pole-explorer .order { grid-area: order; }
}`;

const drawn = (inside, words) => `<span class="drawn"><svg viewBox="-14 -7 28 14" width="28" height="14" aria-hidden="true">${inside}</svg>${words}</span>`;
const MARKERS = ["stable", "ringing", "aliased", "unstable"].map((fate) => drawn(`<path class="${fate}" transform="scale(5)" d="${SHAPES[fate]}"/>`, fate)).join("");
const DASHED = Object.entries(METHODS).map(([name, words]) => drawn(`<path d="M-14 0H14" stroke-dasharray="${DASHES[name]}"/>`, words)).join("");

const CONTROLS = {
  preset: choice("Poles", Object.entries(PRESETS).map(([name, { words }]) => [name, words]), { wide: true }),
  state_size: slider("poles N", { spoken: "number of poles N", min: 0, max: 6, step: 0.125, toSlider: Math.log2, fromSlider: (s) => Math.round(2 ** s), applies: ({ preset }) => PRESETS[preset].sized }),
  method: choice("Discretization", Object.entries(METHODS)),
  dt: slider("step dt", { min: -3, max: 1, step: 0.01, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(4)), text: number }),
  duration: slider("time shown", { min: -1, max: 2, step: 0.01, toSlider: Math.log10, fromSlider: (s) => Number((10 ** s).toPrecision(2)), text: number }),
  pairs: check("conjugate pairs"),
};

const BODY = `
<fieldset><legend>Poles and steps</legend>${html(CONTROLS, "preset", "state_size", "method", "dt", "duration", "pairs")}</fieldset>
<p class="markers">${MARKERS}</p>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Each pole s is one mode x′ = s x + u; the output is the mean of the real parts, so a pole answers for its conjugate as well, which is drawn hollow if you ask for pairs.</li>
  <li>s-plane: shaded, the region that the method maps inside the unit circle; dashed, the Nyquist frequencies ±π/dt; bold, the imaginary axis between them.</li>
  <li>z-plane: shaded, the image of the left half plane; bold, the image of that piece of the imaginary axis. Images: Euler 1 + s dt, backward Euler 1/(1 − s dt), bilinear (1 + s dt/2)/(1 − s dt/2), zero-order hold e<sup>s dt</sup>.</li>
  <li>Impulse response: (1/N) Σ Re e<sup>s t</sup>, and what a sample of height 1/dt, which is an impulse of area 1, leaves after j steps: (1/N) Σ Re Ā<sup>j</sup> B̄/dt, drawn for as long as it is held, with a square at the middle of the step.</li>
  <li>Error: the distance from the square to the curve, over the largest value of the curve. Of more than ${MOST_DRAWN} samples, evenly many are left out.</li>
  <li>Error against the step: the largest error of the selected pole alone, over the time shown, for every method; a slope of one is first order, of two second order.</li>
  <li>Ringing: |z| over 0.1 and more than three quarters of half a turn a step, where the pole itself turns by less than half of that. Aliasing: |Im s| over π/dt. A pole that is both unstable and one of these is marked unstable.</li>
</ul></details>`;

const ZOOM = '<button type="button" name="out" aria-label="Zoom out">−</button><button type="button" name="in" aria-label="Zoom in">+</button>';
const rounded = (value) => Number(value.toPrecision(6));
const COORDINATES = {
  re: { label: "Real part", read: (re) => rounded(re), write: (given, re, im) => [given, im] },
  im: { label: "Imaginary part", read: (re, im) => rounded(im), write: (given, re) => [re, given] },
};

// The smallest round extent of a picture three quarters left of the imaginary axis that holds every pole with room around it.
function fit({ re, im }) {
  let need = 1;
  for (let n = 0; n < re.length; n++) need = Math.max(need, 1.15 * Math.abs(im[n]), -re[n] / 1.3, re[n] / 0.4);
  const unit = 10 ** Math.floor(Math.log10(need));
  return unit * [1, 1.5, 2, 3, 5, 7, 10].find((m) => m * unit >= need * (1 - 1e-9));
}

// Without a preset, poles that are given are a preset of their own.
function defaults(get) {
  const preset = get("preset") ?? (get("poles")?.length ? "custom" : "s4d_lin");
  const { dt, duration } = PRESETS[preset];
  return { preset, state_size: 8, dt, method: "zoh", duration, pairs: true, selected: 0 };
}

function render(host) {
  const panel = new Panel(host, {
    name: "pole-explorer", defaults, also: { poles: () => toPairs(state.points) }, controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const s = new Plane(figures, "s", `<strong>s-plane</strong>${key("bar", "continuous", "mapped inside the circle")}`);
  const z = new Plane(figures, "z", `<strong>z-plane</strong>${key("bar", "sampled", "image of the left half plane")}`);
  s.svg.setAttribute("role", "group");
  s.svg.setAttribute("aria-label", "Poles in the s-plane");
  z.svg.setAttribute("role", "img");
  s.figure.insertAdjacentHTML("beforeend", pointFields("pole", COORDINATES, { buttons: ZOOM }));
  z.figure.insertAdjacentHTML("beforeend", '<p class="reading"></p>');
  z.extent = 1.5;
  const plots = {
    impulse: new Plot(figures, "impulse", `<strong>Impulse response</strong>${key("", "continuous", "continuous")}${key("dot", "sampled", "sampled")}`),
    error: new Plot(figures, "error", `<strong>Its error</strong>${key("dot", "sampled", "over the peak")}`),
    order: new Plot(figures, "order", `<strong>Error against the step</strong><span class="selected-name"></span><span class="dashes">${DASHED}</span>`),
  };
  const hands = new PointHands(panel, s, {
    word: "pole", most: MOST_POLES, coordinates: COORDINATES, byHand,
    rebuilt: (size) => z.rebuild(size),
    moved: (re, im, right, up) => [re + 0.01 * s.extent * right, im + 0.01 * s.extent * up],
    beside: (re, im) => [re, im + 0.15 * s.extent],
    held([x, y]) { // in the picture, and drawn to the real axis when close
      const edge = s.size / 2 - 7;
      return [held(x, -edge, edge), held(Math.abs(y) < 4 ? 0 : y, -edge, edge)];
    },
    pairs: () => state.pairs,
  });

  function draw() {
    const shown = compute(state);
    if (plots.impulse.width > 0) {
      const style = roles(panel.style);
      drawImpulse(plots.impulse, state, shown, style);
      drawError(plots.error, state, shown, style);
      drawOrder(plots.order, state, shown, style);
    }
    s.center = -s.extent / 2;
    drawSPlane(s, state);
    drawZPlane(z, state);
    s.show(state.points, shown.fates, state);
    z.show(shown.images, shown.fates, state, panel.sliding);
    hands.showFields();
    panel.tell(".reading", `Pole ${state.selected + 1} of ${state.points.re.length}: ${describePole(state, shown)}.`);
    speak(state.selected, shown);
    return () => describe(shown);
  }

  function describe(shown) {
    panel.say(describeAll(state, shown));
    for (let k = 0; k < state.points.re.length; k++) speak(k, shown);
    const n = state.selected;
    const moduli = Array.from(shown.fates, (_, k) => modulusAt(shown.images, k));
    z.svg.setAttribute("aria-label", `Images in the z-plane: moduli from ${number(Math.min(...moduli))} to ${number(Math.max(...moduli))}; that of pole ${n + 1} is ${complexText(shown.images.re[n], shown.images.im[n])}.`);
    const last = shown.curve.length - 1;
    panel.describe(plots.impulse, `Impulse response: the continuous one goes from ${signed(shown.curve[0])} to ${signed(shown.curve[last])} at time ${number(state.duration)}, the sampled one from ${signed(shown.sampled[0])} to ${signed(shown.sampled.at(-1))}.`);
    panel.describe(plots.error, `Error of the sampled impulse response: up to ${shareText(shown.worst)} the continuous one's peak.`);
    const index = STEPS.findLastIndex((dt) => dt <= state.dt);
    panel.describe(plots.order, `Largest error of pole ${n + 1} near this step: ${shown.orders.map(([method, errors]) => `${METHODS[method]} ${number(errors[Math.max(index, 0)], 2)}`).join(", ")}.`);
  }

  // What a screen reader says of a pole.
  function speak(n, { images: reached, fates: found }) {
    const [re, im] = hands.at(n);
    const words = {
      valuenow: rounded(re), valuemin: rounded(Math.min(re, s.center - s.extent)), valuemax: rounded(Math.max(re, s.center + s.extent)),
      valuetext: `s = ${complexText(re, im)}, image ${complexText(reached.re[n], reached.im[n])}, ${found[n]}`,
    };
    for (const [name, value] of Object.entries(words)) s.points.children[n].setAttribute(`aria-${name}`, value);
  }

  function takePoles(poles) {
    hands.take(poles);
    s.extent = fit(poles);
  }

  function take(get) {
    const given = get("poles") ?? [];
    const poles = given.length ? fromPairs(given) : presetPoles(state.preset, state.state_size);
    const known = state.points && String([...state.points.re, ...state.points.im]) === String([...poles.re, ...poles.im]);
    if (known) hands.take(poles); // the picture stays as far out as it is
    else takePoles(poles);
  }

  function changed(name) {
    if (name === "preset" && state.preset !== "custom") {
      const { dt, duration } = PRESETS[state.preset];
      Object.assign(state, { dt, duration });
      takePoles(presetPoles(state.preset, Math.max(state.state_size, 8)));
    }
    if (name === "state_size") takePoles(presetPoles(state.preset, state.state_size));
    if (name === "preset" || name === "method") panel.glide(z.svg);
  }

  function byHand() {
    z.svg.classList.remove("settling");
    state.preset = "custom";
  }

  // A pole and its image are hovered together.
  const image = (event) => z.nearest(fromMiddle(z.svg, event), images(state.points, state.dt, state.method), 14, state.pairs);
  panel.listen(z.svg, "pointermove", (event) => event.pointerType === "mouse" && hands.hover(image(event)));
  panel.listen(z.svg, "pointerleave", () => hands.hover(null));
  panel.listen(z.svg, "click", () => state.hovered === null || hands.choose(state.hovered));
  for (const [name, factor] of [["in", 1 / 1.5], ["out", 1.5]]) {
    panel.listen(panel.field(name), "click", () => {
      s.extent *= factor;
      panel.schedule();
    });
  }

  return panel.start(Object.values(plots), [s.svg, z.svg], (target, width) => ((target === s.svg ? s : z).size = width));
}

export default { render };
