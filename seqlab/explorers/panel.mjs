// What explorers share: the panel that an explorer lives in (its frames, its words, its light and dark, its fields and its
// ties to the model), plots on a canvas, and the words for numbers. An explorer imports it by name; for a notebook, which can
// hold one source only, explorer.py puts this text in place of the import.
//
// 1 words · 2 fields · 3 plots · 4 points · 5 panel

// ---------------------------------------------------------------------------------------------------------- 1 words

export const raised = (exponent) => [...String(exponent)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(c)]).join("");

export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "∞";
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${Number(mantissa) === 1 ? "" : `${mantissa}·`}10${raised(Number(exponent))}`;
  }
  return String(Number(value.toPrecision(digits)));
}
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// --------------------------------------------------------------------------------------------------------- 2 fields

export const OUR_KEYS = ["data-lm-suppress-shortcuts", "true"]; // JupyterLab leaves keys alone where this is on the focused element

// A legend's entry, beside a sample of the line: kind is "", "dashed", "dotted", "bar" or "dot", color a CSS variable.
export const key = (kind, color, words) => `<span class="key ${kind}" style="--color: var(--${color})">${words}</span>`;
export const choices = (entries) => entries.map(([value, words]) => `<option value="${value}">${words}</option>`).join("");

// A slider's own scale need not be its parameter's: toSlider and fromSlider lead from one to the other, text says the value.
export const slider = (parameter, { label, name, min, max, step }) =>
  `<label data-parameter="${parameter}"><span>${label} = <b></b></span><input type="range" name="${parameter}" aria-label="${name}" min="${min}" max="${max}" step="${step}"></label>`;

// ---------------------------------------------------------------------------------------------------------- 3 plots

// A canvas with axes. All lengths are CSS pixels; the backing store follows the screen's density.
export class Plot {
  constructor(parent, name, caption) {
    this.figure = parent.appendChild(document.createElement("figure"));
    this.figure.className = name;
    this.figure.innerHTML = `<figcaption>${caption}</figcaption><canvas role="img"></canvas>`;
    this.canvas = this.figure.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.width = this.height = 0;
  }

  // Clear the canvas, draw the axes, and on them what rests(), which is the same as long as it and the axes are called by the
  // same name: then it comes from a picture.
  begin(axes, style, { name = "", rests = () => {} } = {}) {
    const density = (this.density = globalThis.devicePixelRatio || 1);
    const { canvas, context: c } = this;
    const [pixelsX, pixelsY] = [Math.round(this.width * density), Math.round(this.height * density)];
    if (canvas.width !== pixelsX || canvas.height !== pixelsY) {
      [canvas.width, canvas.height] = [pixelsX, pixelsY];
      this.font = ""; // a canvas of a new size has forgotten everything
    }
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, pixelsX, pixelsY);
    this.scale(axes);
    const called = name && JSON.stringify([name, axes, style, pixelsX, pixelsY]);
    const pictured = called !== "" && called === this.pictured;
    if (pictured) c.drawImage(this.picture, 0, 0);
    c.setTransform(density, 0, 0, density, 0, 0);
    if (!pictured) this.drawAxes(axes, style);
    const { left, right, top, bottom } = this.box;
    c.save();
    c.beginPath();
    c.rect(left, top - 3, Math.ceil(right) - left, Math.ceil(bottom) - top + 6); // an edge between pixels would cost time
    c.clip();
    if (pictured) return;
    rests();
    if (called !== "" && called === this.called) { // the second time: there may be more
      this.picture = Object.assign(document.createElement("canvas"), { width: pixelsX, height: pixelsY });
      this.picture.getContext("2d").drawImage(canvas, 0, 0);
      this.pictured = called;
    }
    this.called = called;
  }

  // From values to places on the screen.
  scale({ x, y, logX = false, logY = false, margin = 40 }) {
    this.box = { left: margin, right: this.width - 14, top: 8, bottom: this.height - 30 };
    const scale = (domain, log, from, to) => {
      const map = log ? Math.log : (v) => v;
      const slope = (to - from) / (map(domain[1]) - map(domain[0]));
      const origin = map(domain[0]);
      return (v) => from + (map(v) - origin) * slope;
    };
    this.x = scale(x, logX, this.box.left, this.box.right);
    this.y = scale(y, logY, this.box.bottom, this.box.top);
  }

  drawAxes({ xTicks, yTicks, xLabel }, style) {
    const c = this.context;
    const { left, right, top, bottom } = this.box;
    if (this.font !== style.font) c.font = this.font = style.font; // to set it, the browser looks at the whole page's style
    c.fillStyle = style.text;
    c.strokeStyle = style.grid;
    c.lineWidth = 1;
    c.beginPath();
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const [value, label] of xTicks) {
      const at = Math.round(this.x(value)) + 0.5;
      c.moveTo(at, top);
      c.lineTo(at, bottom);
      c.fillText(label, at, bottom + 4);
    }
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const [value, label] of yTicks) {
      const at = Math.round(this.y(value)) + 0.5;
      c.moveTo(left, at);
      c.lineTo(right, at);
      c.fillText(label, left - 5, at);
    }
    c.stroke();
    c.textBaseline = "bottom";
    c.fillText(xLabel, right, this.height - 1);
  }

  end() {
    this.context.restore();
  }

  // The line through points whose xs all go one way. What costs time is the stroke: a point is left out where the line passes
  // it by less than a fifth of the screen's pixels, and a long line is stroked in pieces, each from the last segment of the
  // one before. In a color that shines through, that would show: such a line is to be whole.
  line(xs, ys, color, { width = 2, dash = [], whole = false } = {}) {
    const c = this.context;
    const near = 0.2 / this.density;
    let [x, y] = [this.x(xs[0]), this.y(ys[0])]; // the point before
    let [cornerX, cornerY] = [x, y]; // the last point that the path has
    let [low, high] = [-Infinity, Infinity]; // slopes from there that pass all points since nearly enough
    let [corners, length, start] = [0, 0, 0]; // of the line up to there; where the piece starts
    c.beginPath();
    c.moveTo(x, y);
    for (let i = 1; i < xs.length; i++) {
      const nextX = this.x(xs[i]);
      const nextY = this.y(ys[i]);
      let slope = (nextY - cornerY) / (nextX - cornerX);
      if (!(slope >= low && slope <= high)) { // NaN too: after a step straight up
        c.lineTo(x, y);
        if (++corners % 32 === 0 && !whole) {
          this.stroke(color, width, dash, start);
          start = length;
          c.beginPath();
          c.moveTo(cornerX, cornerY);
          c.lineTo(x, y);
        }
        length += Math.sqrt((x - cornerX) ** 2 + (y - cornerY) ** 2);
        [cornerX, cornerY, low, high] = [x, y, -Infinity, Infinity];
        slope = (nextY - cornerY) / (nextX - cornerX);
      }
      const room = (near * Math.sqrt(1 + slope * slope)) / Math.abs(nextX - cornerX);
      low = Math.max(low, slope - room);
      high = Math.min(high, slope + room);
      x = nextX;
      y = nextY;
    }
    c.lineTo(x, y);
    this.stroke(color, width, dash, start);
  }

  stroke(color, width, dash = [], start = 0) {
    const c = this.context;
    c.strokeStyle = color;
    c.lineWidth = width;
    c.lineJoin = width <= 2 ? "bevel" : "round"; // a thin line's corners look the same, and cost less
    c.lineDashOffset = start;
    c.setLineDash(dash);
    c.stroke();
    c.setLineDash([]);
  }

  dot(x, y, radius, color) {
    const c = this.context;
    c.beginPath();
    c.arc(this.x(x), this.y(y), radius, 0, 2 * Math.PI);
    c.fillStyle = color;
    c.fill();
  }
}

export function linearTicks(low, high, count = 4) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push([i * step, number(i * step)]);
  return ticks;
}

export function decadeTicks(low, high, most = 6) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.ceil((last - first + 1) / most);
  const ticks = [];
  for (let e = first; e <= last; e += step) ticks.push([10 ** e, e < 4 ? number(10 ** e, 1) : `10${raised(e)}`]);
  return ticks;
}

// --------------------------------------------------------------------------------------------------------- 4 points
// Numbers of the complex plane, {re, im}: two Float64Arrays.

export const complex = (size) => ({ re: new Float64Array(size), im: new Float64Array(size) });
export const fromPairs = (pairs) => ({ re: Float64Array.from(pairs, ([x]) => x), im: Float64Array.from(pairs, ([, y]) => y) });
export const toPairs = ({ re, im }) => Array.from(re, (x, n) => [x, im[n]]);
export const fromFormula = (size, re, im) => ({ re: Float64Array.from({ length: size }, (_, n) => re(n)), im: Float64Array.from({ length: size }, (_, n) => im(n)) });
export const joined = ({ re, im }, x, y) => ({ re: Float64Array.of(...re, x), im: Float64Array.of(...im, y) });
export function without({ re, im }, n) {
  const others = (_, k) => k !== n;
  return { re: re.filter(others), im: im.filter(others) };
}

// A new element of SVG, inside its parent.
export const svgElement = (parent, kind) => parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", kind));

// Where a pointer is, in pixels from the middle of a picture.
export function fromMiddle(svg, event) {
  const frame = svg.getBoundingClientRect();
  return [event.clientX - frame.left - frame.width / 2, event.clientY - frame.top - frame.height / 2];
}

// ---------------------------------------------------------------------------------------------------------- 5 panel

const PANEL_STYLE = `
.explorer-panel { container-type: inline-size; color: var(--panel-text); line-height: 1.4; font-size: 14px; text-align: start;
  --panel-1: var(--series-1, #0072b2); --panel-2: var(--series-2, #c65300); --panel-3: var(--series-3, #007a5a); --panel-4: var(--series-4, #b3568f);
  --panel-text: var(--figure-text, #222222); --panel-grid: var(--figure-grid, #d9d9d9); --panel-inside: #8080800d; color-scheme: light; }
.explorer-panel[data-shade="dark"] { --panel-1: var(--series-1, #5cb8ec); --panel-2: var(--series-2, #f59456); --panel-3: var(--series-3, #3cc9a2); --panel-4: var(--series-4, #e493c6);
  --panel-text: var(--figure-text, #dedede); --panel-grid: var(--figure-grid, #4a4a4a); --panel-inside: #ffffff0a; color-scheme: dark; }
.explorer-panel *, .explorer-panel *::before { box-sizing: border-box; }
.explorer-panel fieldset { display: flex; flex-wrap: wrap; gap: .5em 1.1em; align-items: end; border: 0; margin: 0 0 .6em; padding: 0; min-width: 0; }
.explorer-panel legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.explorer-panel label { display: flex; flex-direction: column; gap: .15em; margin: 0; font-size: .93em; }
.explorer-panel label.check { flex-direction: row; align-items: center; gap: .4em; min-height: 2.1em; }
.explorer-panel label b { font-weight: 600; font-variant-numeric: tabular-nums; }
.explorer-panel [hidden] { display: none; }
.explorer-panel :is(select, input, button) { font: inherit; color: inherit; margin: 0; max-width: 100%; accent-color: var(--panel-1); }
.explorer-panel :is(select, button, input[type=number]) { min-height: 2.1em; padding: .15em .5em; border: 1px solid color-mix(in srgb, var(--panel-text) 55%, transparent); border-radius: 5px; background: color-mix(in srgb, var(--panel-text) 4%, transparent); }
.explorer-panel select option { color: CanvasText; background: Canvas; }
.explorer-panel input[type=range] { width: 9.5em; height: 2.1em; }
.explorer-panel :is(sub, sup) { line-height: 0; font-size: .75em; }
.explorer-panel input[type=number] { width: 6.2em; }
.explorer-panel button { cursor: pointer; padding-inline: .8em; }
.explorer-panel button:hover { background: color-mix(in srgb, var(--panel-text) 12%, transparent); }
.explorer-panel button:disabled { opacity: .5; cursor: default; }
.explorer-panel :is(select, input, button):focus-visible { outline: 2px solid var(--panel-2); outline-offset: 2px; }
.explorer-panel .panels { display: grid; grid-template-columns: minmax(0, 1fr); gap: .9em 1.2em; }
.explorer-panel figure { margin: 0; padding: 0; min-width: 0; display: flex; flex-direction: column; width: auto; }
.explorer-panel figcaption { margin: 0 0 .2em; padding: 0; font-size: .93em; text-align: start; color: inherit; }
.explorer-panel figcaption strong { margin-inline-end: .6em; }
.explorer-panel .key { white-space: nowrap; margin-inline-end: .7em; }
.explorer-panel .key::before { content: ""; display: inline-block; width: 1.3em; border-top: 3px solid var(--color); vertical-align: .25em; margin-inline-end: .35em; }
.explorer-panel .key.dashed::before { border-top-style: dashed; }
.explorer-panel .key.dotted::before { border-top-style: dotted; }
.explorer-panel .key.bar::before { border-top: .7em solid var(--color); vertical-align: -.05em; width: .7em; }
.explorer-panel .key.dot::before { border-top: 0; width: .55em; height: .55em; border-radius: 50%; background: var(--color); vertical-align: .05em; }
.explorer-panel canvas { display: block; width: 100%; height: 170px; flex: 1 1 170px; min-height: 0; }
.explorer-panel .reading { margin: .35em 0 0; text-align: center; font-variant-numeric: tabular-nums; min-height: 2.8em; }
.explorer-panel .hint { margin: .2em 0 0; text-align: center; font-size: .86em; }
.explorer-panel output { display: block; margin-top: .8em; font-size: .93em; }
.explorer-panel details { margin-top: .5em; font-size: .93em; }
.explorer-panel summary { cursor: pointer; }
.explorer-panel ul { margin: .3em 0 0; padding-inline-start: 1.3em; }
@media (pointer: coarse) { .explorer-panel .keys { display: none; } }`;

// Light or dark, as the host says: the website's theme, JupyterLab's or Colab's, or else the reader's system.
function shade() {
  const page = document.documentElement;
  const told = page.dataset.theme ?? page.getAttribute("theme") ?? { true: "light", false: "dark" }[document.body.dataset.jpThemeLight];
  if (told === "light" || told === "dark") return told;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export class Panel {
  // name: the class of the root, from which frames are named too · controls: its HTML, in which <div class="panels"> holds the
  // figures and <output> the words · style: its own CSS · draw: draws one frame, and returns what to call once the hand rests.
  constructor(el, { name, controls, style, draw }) {
    this.root = el.appendChild(document.createElement("div"));
    this.root.className = `explorer-panel ${name}`;
    this.root.innerHTML = `<style>${PANEL_STYLE}${style}</style>${controls}`;
    this.figures = this.root.querySelector(".panels");
    this.name = name;
    this.draw = draw;
    this.frame = 0;
    this.quiet = 0;
    this.ours = false; // true while we are the ones who change the model
    this.lifetime = new AbortController();
    this.departures = [];
    this.found = new Map();
  }

  // Nodes that a selector finds, which stay what they are once they are there.
  nodes(selector) {
    let found = this.found.get(selector);
    if (!found) this.found.set(selector, (found = [...this.root.querySelectorAll(selector)]));
    return found;
  }

  field(name) {
    return this.nodes(`[name="${name}"]`)[0];
  }

  listen(target, event, listener, options) {
    target.addEventListener(event, listener, { signal: this.lifetime.signal, ...options });
  }

  // Keep what the reader is typing: a field that has the focus is not written over.
  write(name, value) {
    if (document.activeElement !== this.field(name)) this.field(name).value = value;
  }

  writeSlider(name, { toSlider, text }, value) {
    this.write(name, toSlider(value));
    this.field(name).setAttribute("aria-valuetext", text(value));
    this.tell(`[data-parameter="${name}"] b`, text(value));
  }

  // Words in their place. Writing to the page costs a layout: only what changed is written.
  tell(selector, words) {
    for (const node of this.nodes(selector)) if (node.textContent !== words) node.textContent = words;
  }

  say(words) {
    this.tell("output", words);
  }

  // ---- frames

  schedule() {
    this.frame ||= requestAnimationFrame(() => this.update());
  }

  update() {
    this.frame = 0;
    const start = performance.now();
    const rest = this.draw();
    const name = `${this.name} update`;
    performance.measure(name, { start, end: performance.now() });
    performance.clearMeasures(name); // observers have it; the page need not keep it
    clearTimeout(this.quiet); // words follow when the hand rests
    if (rest) this.quiet = setTimeout(rest, 250);
  }

  // ---- hands

  // A pointer that grab(event) accepts is held until it lifts: move(event), then drop(event); others hover(event). A finger
  // where holds(touch) is true does not scroll the page.
  drag(target, { grab, move, drop, hover, holds }) {
    this.listen(target, "pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary || !grab(event)) return;
      event.preventDefault(); // no text selection; focus is grab's to set
      target.setPointerCapture(event.pointerId);
      target.classList.add("dragging");
    });
    this.listen(target, "pointermove", (event) => {
      if (target.hasPointerCapture(event.pointerId)) move(event);
      else hover?.(event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.listen(target, end, (event) => {
        if (!target.classList.contains("dragging") || !event.isPrimary) return;
        target.releasePointerCapture(event.pointerId);
        target.classList.remove("dragging");
        drop(event);
      });
    }
    this.listen(target, "touchstart", (event) => holds(event.touches[0]) && event.preventDefault(), { passive: false });
  }

  // Keys on points of which one is selected, the nth: move(x, y, far) it, right and up; choose(another); remove() it.
  keys(points, selected, { move, choose, remove }) {
    this.listen(points, "keydown", (event) => {
      const size = points.children.length;
      const n = selected();
      const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      const another = { PageDown: (n + 1) % size, PageUp: (n + size - 1) % size, Home: 0, End: size - 1 }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (direction) move(...direction, event.shiftKey);
      else if (another !== undefined) choose(another);
      else if (event.key === "Delete" || event.key === "Backspace") {
        remove();
        points.children[selected()].focus({ preventScroll: true });
      } else return;
      event.preventDefault();
    });
  }

  // ---- the model

  // Take the model's values whenever someone else changes one of the names.
  follow(model, names, fromModel) {
    const onModel = () => this.ours || fromModel();
    for (const name of names) model.on(`change:${name}`, onModel);
    this.departures.push(() => names.forEach((name) => model.off(`change:${name}`, onModel)));
  }

  // Tell the model what changed here; in a notebook this reaches Python.
  share(model, values) {
    this.ours = true;
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    this.ours = false;
    model.save_changes();
  }

  // ---- surroundings

  // Follow light and dark, and the sizes of plots; resize(target, width) hears of other elements' sizes. Call it last.
  settle(plots, others = [], resize = () => {}) {
    for (const control of this.root.querySelectorAll("select, input, button, summary")) control.setAttribute(...OUR_KEYS);
    const takeShade = () => {
      this.root.dataset.shade = shade();
      this.style = this.readStyle();
      this.schedule();
    };
    const watcher = new MutationObserver(takeShade);
    for (const target of [document.documentElement, document.body]) {
      watcher.observe(target, { attributes: true, attributeFilter: ["data-theme", "theme", "data-jp-theme-light", "class"] });
    }
    this.listen(matchMedia("(prefers-color-scheme: dark)"), "change", takeShade);
    const resizer = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const plot = plots.find(({ canvas }) => canvas === target);
        if (plot) [plot.width, plot.height] = [contentRect.width, contentRect.height];
        else resize(target, contentRect.width);
      }
      this.schedule();
    });
    for (const target of [...plots.map(({ canvas }) => canvas), ...others]) resizer.observe(target);
    this.departures.push(() => watcher.disconnect(), () => resizer.disconnect());
    takeShade();
  }

  readStyle() {
    const computed = getComputedStyle(this.root);
    const variable = (name) => computed.getPropertyValue(`--panel-${name}`).trim();
    return { series: [1, 2, 3, 4].map(variable), text: variable("text"), grid: variable("grid"), font: `11px ${computed.fontFamily}` };
  }

  leave() {
    this.lifetime.abort();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.quiet);
    for (const depart of this.departures) depart();
    this.root.remove();
  }
}

export const faded = (color, percent) => `color-mix(in srgb, ${color} ${percent}%, transparent)`;
