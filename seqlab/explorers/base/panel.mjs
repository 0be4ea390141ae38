// The panel that an explorer lives in: its state and its ties to the model, its controls, its frames, its words, light and dark
// and print, and the hands on it. An explorer's module ends with
//
//   export default { render: (host) => {
//     const panel = new Panel(host, { name, defaults, controls, body, style, take, changed, draw });
//     ...                        // plots and pictures into panel.figures
//     return panel.start(plots); // and from here on it is alive
//   } };
import { OUR_KEYS } from "./controls.mjs";
import { PANEL_STYLE } from "./style.mjs";

// Light or dark, as the host says: the website's theme, JupyterLab's or Colab's, or else the reader's system. Paper is light.
function shade() {
  if (matchMedia("print").matches) return "print";
  const page = document.documentElement;
  const told = page.dataset.theme ?? page.getAttribute("theme") ?? { true: "light", false: "dark" }[document.body.dataset.jpThemeLight];
  if (told === "light" || told === "dark") return told;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export class Panel {
  // name: of the explorer; its root has this class
  // defaults(get): what the state holds of the model, by name, where the model's get(name) has nothing
  // also: what else the model holds, by name: a function that gives it as the model wants it
  // view: what the state holds that the model does not
  // controls: by the name of what each sets (controls.mjs)
  // body: HTML, in which <div class="panels"> is for figures and <output> for words; Reset goes to the end of its first fieldset
  // style: CSS
  // take(get): the state is new, from the model: make of it whatever else the explorer keeps
  // changed(name): a control has set this value of the state
  // draw(): draw one frame, plots first and then the rest of the page; returns what to call once the hand rests
  constructor({ model, el }, { name, defaults, also = {}, view = {}, controls = {}, body, style = "", take = () => {}, changed = () => {}, draw }) {
    Object.assign(this, { model, name, defaults, also, view, controls, take, changed, draw });
    this.state = {};
    this.question = el.appendChild(document.createElement("p"));
    this.question.className = "explorer-question";
    this.root = el.appendChild(document.createElement("div"));
    this.root.className = `explorer-panel ${name}`;
    this.root.innerHTML = `<style>${PANEL_STYLE}${style}</style>${body}`;
    this.root.querySelector("fieldset").insertAdjacentHTML("beforeend", '<button type="button" name="reset">Reset</button>');
    this.figures = this.root.querySelector(".panels");
    this.frame = 0;
    this.quiet = 0;
    this.ours = false; // true while we are the ones who change the model
    this.typed = null; // the field that is being typed in
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

  // A field is not written over between the first key of what is typed there and its end.
  write(name, value) {
    const field = this.field(name);
    if (field !== this.typed && field.value !== String(value)) field.value = value;
  }

  // Whether a slider is being moved, and not let go yet.
  get sliding() {
    return this.typed?.type === "range";
  }

  // Words in their place. Writing to the page costs a layout: only what changed is written.
  tell(selector, words) {
    for (const node of this.nodes(selector)) if (node.textContent !== words) node.textContent = words;
  }

  say(words) {
    this.tell(":scope > output", words);
  }

  // What a figure shows, for who does not see it.
  describe(plot, words) {
    plot.canvas.setAttribute("aria-label", words);
  }

  // ---- controls

  showControls() {
    for (const [name, control] of Object.entries(this.controls)) {
      const used = control.applies(this.state);
      control.write(this, name, this.state[name]);
      this.field(name).disabled = !used;
      this.nodes(`[data-parameter="${name}"]`)[0].classList.toggle("unused", !used);
    }
  }

  listenToControls() {
    this.listen(this.root, "input", ({ target }) => (this.typed = target), { capture: true });
    for (const end of ["change", "focusout"]) this.listen(this.root, end, () => (this.typed = null), { capture: true });
    for (const [name, control] of Object.entries(this.controls)) {
      this.listen(this.field(name), control.moves, () => {
        this.state[name] = control.read(this.field(name));
        this.changed(name);
        this.schedule();
      });
      this.listen(this.field(name), "change", () => { // a slider is let go
        this.schedule();
        this.share();
      });
    }
    this.listen(this.field("reset"), "click", () => {
      this.tellModel(this.opened);
      for (const name of Object.keys(this.state)) delete this.state[name];
      this.fromModel();
    });
  }

  // ---- frames

  schedule() {
    this.frame ||= requestAnimationFrame(() => this.update());
  }

  update() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const start = performance.now();
    const rest = this.draw();
    this.showControls(); // after plots: text in them would wait for the page's style
    const name = `${this.name} update`;
    performance.measure(name, { start, end: performance.now() });
    performance.clearMeasures(name); // observers have it; the page need not keep it
    clearTimeout(this.quiet); // words follow when the hand rests
    if (rest) this.quiet = setTimeout(rest, 250);
  }

  // Let elements glide to where they go next, where motion is welcome (style.mjs); not while a slider moves, which is motion
  // enough, and where many of them would cost more than a frame.
  glide(element) {
    element.classList.add("settling");
    clearTimeout(this.gliding);
    this.gliding = setTimeout(() => element.classList.remove("settling"), 400);
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

  // ---- the model

  fromModel() {
    const get = (name) => this.model.get(name);
    this.typed = null;
    for (const [name, value] of Object.entries(this.view)) this.state[name] ??= value;
    for (const [name, value] of Object.entries(this.defaults(get))) this.state[name] = get(name) ?? value;
    this.question.textContent = get("question") ?? "";
    this.take(get);
    this.schedule();
  }

  // Tell the model what changed here; in a notebook this reaches Python.
  share() {
    const get = (name) => this.model.get(name);
    const held = Object.keys(this.defaults(get)).map((name) => [name, this.state[name]]);
    const more = Object.entries(this.also).map(([name, value]) => [name, value()]);
    this.tellModel(Object.fromEntries([...held, ...more]));
  }

  tellModel(values) {
    this.ours = true;
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.ours = false;
    this.model.save_changes();
  }

  follow(names) {
    const onModel = () => this.ours || this.fromModel();
    for (const name of names) this.model.on(`change:${name}`, onModel);
    this.departures.push(() => names.forEach((name) => this.model.off(`change:${name}`, onModel)));
  }

  // ---- surroundings

  // Begin: take the model's values and follow them, light and dark, and the sizes of plots; resize(element, width) hears of other
  // elements' sizes. Returns what ends it all.
  start(plots, others = [], resize = () => {}) {
    const names = [...Object.keys(this.defaults((name) => this.model.get(name))), ...Object.keys(this.also)];
    this.opened = Object.fromEntries(names.map((name) => [name, this.model.get(name)])); // where Reset leads
    this.listenToControls();
    this.follow([...names, "question"]);
    this.fromModel();
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
    this.listen(matchMedia("print"), "change", () => {
      takeShade();
      for (const plot of plots) ({ width: plot.width, height: plot.height } = plot.canvas.getBoundingClientRect());
      this.update(); // paper waits for no frame, and tells no observer
    });
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
    return () => this.leave();
  }

  readStyle() {
    const computed = getComputedStyle(this.root);
    const variable = (name) => computed.getPropertyValue(`--panel-${name}`).trim();
    return { series: [1, 2, 3, 4].map(variable), text: variable("text"), grid: variable("grid"), font: `11px ${computed.fontFamily}` };
  }

  leave() {
    this.lifetime.abort();
    cancelAnimationFrame(this.frame);
    for (const timer of [this.quiet, this.gliding]) clearTimeout(timer);
    for (const depart of this.departures) depart();
    this.question.remove();
    this.root.remove();
  }
}
