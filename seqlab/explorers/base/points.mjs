// Points of the complex plane in a picture, and hands on them: dragged, keyed, typed, added and removed.

import { OUR_KEYS } from "./controls.mjs";
import { joined, without } from "./complex.mjs";

// A new element of SVG, inside its parent.
export const svgElement = (parent, kind) => parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", kind));

// Where a pointer is, in pixels from the middle of a picture.
export function fromMiddle(svg, event) {
  const frame = svg.getBoundingClientRect();
  return [event.clientX - frame.left - frame.width / 2, event.clientY - frame.top - frame.height / 2];
}

export const label = (x, y, words, anchor = "middle") => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;

// A square picture. Lengths on the screen are CSS pixels from its middle; y points down there. A kind of picture says how numbers
// and places belong together: screen(re, im) -> [x, y], and number(x, y) -> [re, im] if its points can be moved.
export class Picture {
  // layers: groups of elements of a kind, one element for each point; the last ones are those that hands take hold of
  constructor(parent, kind, layers = 1) {
    this.svg = svgElement(parent, "svg");
    this.background = svgElement(this.svg, "g");
    this.background.setAttribute("aria-hidden", "true");
    this.layers = Array.from({ length: layers }, () => svgElement(this.svg, "g"));
    this.points = this.layers.at(-1);
    for (const layer of this.layers.slice(0, -1)) layer.setAttribute("aria-hidden", "true");
    this.kind = kind;
    this.size = 0;
  }

  // The point nearest to a place on the screen and within reach (pixels), or, of pairs, its mirror image: [index, 1 or -1].
  nearest([x, y], { re, im }, reach, pairs = false) {
    let [best, distance] = [null, reach];
    for (const side of pairs ? [-1, 1] : [1]) {
      for (let n = 0; n < re.length; n++) {
        const [px, py] = this.screen(re[n], side * im[n]);
        const d = Math.hypot(px - x, py - y);
        if (d <= distance) [best, distance] = [[n, side], d];
      }
    }
    return best;
  }

  // What lies under the points, of a size that it fills: contents(half) is SVG. Writing to the page is what costs, here and below:
  // only what changed is written.
  draw(contents) {
    const half = this.size / 2;
    const drawn = contents(half);
    if (drawn === this.drawn && half === this.half) return;
    [this.drawn, this.half] = [drawn, half];
    this.svg.setAttribute("viewBox", `${-half} ${-half} ${this.size} ${this.size}`);
    this.background.innerHTML = drawn;
  }

  rebuild(size) {
    for (const layer of this.layers) {
      layer.replaceChildren();
      for (let n = 0; n < size; n++) svgElement(layer, this.kind);
    }
    this.placed = []; // what each point shows
    this.selected = this.hovered = null;
  }

  // Write what the nth point shows, unless it shows it already.
  place(n, shows, write) {
    if (this.placed[n] === shows) return;
    this.placed[n] = shows;
    write(this.layers.map((layer) => layer.children[n]));
  }

  mark({ selected, hovered }) {
    for (const [kind, n] of Object.entries({ selected, hovered })) {
      if (n === this[kind]) continue;
      for (const { children } of this.layers) {
        children[this[kind]]?.classList.remove(kind);
        children[n]?.classList.add(kind);
      }
      this[kind] = n;
    }
  }
}

// The fields beside a picture whose points can be moved. coordinates: by name, { label, min, max, read(re, im), write(value, re, im) }.
export const pointFields = (word, coordinates, { hint = `Drag a ${word}`, buttons = "" } = {}) => `
<fieldset class="point"><legend>Selected ${word}</legend>
  <label>${word[0].toUpperCase()}${word.slice(1)}<input type="number" name="selected" min="1" step="1"></label>
  ${Object.entries(coordinates).map(([name, { label: words, min = "", max = "" }]) => `<label>${words}<input type="number" name="${name}" min="${min}" max="${max}" step="any"></label>`).join("")}
  <span class="buttons"><button type="button" name="add">Add</button><button type="button" name="remove">Remove</button>${buttons}</span>
</fieldset>
<p class="hint">${hint}; double-click adds one. <span class="keys">Keys: arrows move it (Shift: farther), Page Up and Down choose, Delete removes.</span></p>`;

// Hands on the points of a picture: panel.state.points, {re, im}, of which one is selected and one may be hovered.
export class PointHands {
  // word: what a point is called · most: how many there can be · coordinates: as in pointFields
  // byHand(): the points are no longer what a control made them · rebuilt(size): there are others
  // moved(re, im, x, y): where a point goes that a key pushes x pixels right and y up · beside(re, im): where Add puts another
  // held([x, y]): the place on the screen where a pointer leaves a point · pairs(): whether mirror images can be dragged too
  constructor(panel, picture, { word, most, coordinates, byHand, rebuilt = () => {}, moved, beside, held = (place) => place, pairs = () => false, within = () => true }) {
    Object.assign(this, { panel, picture, word, most, coordinates, byHand, rebuilt, pairs });
    const { state } = panel;
    const { svg } = picture;
    const reach = (event) => (event.pointerType === "mouse" ? 14 : 26);
    const nearest = (event, distance) => picture.nearest(fromMiddle(svg, event), state.points, distance, pairs());
    let side = 1; // -1 while a mirror image is what is dragged
    const numberAt = (place) => {
      const [re, im] = picture.number(...held(place));
      return [re, side * im + 0]; // no -0
    };
    panel.drag(svg, {
      grab: (event) => {
        const found = nearest(event, reach(event));
        if (found === null) return false;
        svg.classList.remove("settling");
        side = found[1];
        this.select(found[0], true);
        return true;
      },
      move: (event) => this.move(state.selected, ...numberAt(fromMiddle(svg, event))),
      drop: () => {
        side = 1;
        panel.share();
      },
      hover: (event) => event.pointerType === "mouse" && this.hover(nearest(event, reach(event))),
      holds: (touch) => nearest(touch, 26) !== null, // elsewhere a finger scrolls the page as usual
    });
    panel.listen(svg, "pointerleave", () => this.hover(null));
    panel.listen(svg, "dblclick", (event) => {
      const place = fromMiddle(svg, event);
      if (nearest(event, 8) === null && within(place)) this.add(...numberAt(place));
    });
    panel.listen(picture.points, "keydown", (event) => this.key(event, moved));
    panel.listen(panel.field("selected"), "input", () => {
      const n = panel.field("selected").valueAsNumber - 1;
      if (Number.isInteger(n) && n >= 0 && n < state.points.re.length) this.choose(n);
    });
    panel.listen(panel.field("selected"), "change", () => { // out of range, the nearest
      const n = Math.round(panel.field("selected").valueAsNumber) - 1;
      this.choose(Number.isFinite(n) ? Math.min(Math.max(n, 0), state.points.re.length - 1) : state.selected);
    });
    for (const [name, { write }] of Object.entries(coordinates)) {
      panel.listen(panel.field(name), "input", () => {
        const given = panel.field(name).valueAsNumber;
        if (!Number.isFinite(given)) return;
        const [re, im] = this.at(state.selected);
        this.move(state.selected, ...write(given, re, im));
        panel.share();
      });
      panel.listen(panel.field(name), "change", () => panel.schedule()); // what was typed gives way to what it became
    }
    panel.listen(panel.field("add"), "click", () => this.add(...beside(...this.at(state.selected))));
    panel.listen(panel.field("remove"), "click", () => this.remove());
  }

  at(n) {
    const { re, im } = this.panel.state.points;
    return [re[n], im[n]];
  }

  key(event, moved) {
    const { points, selected: n } = this.panel.state;
    const size = points.re.length;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const another = { PageDown: (n + 1) % size, PageUp: (n + size - 1) % size, Home: 0, End: size - 1 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (direction) {
      const far = event.shiftKey ? 10 : 1;
      this.move(n, ...moved(...this.at(n), far * direction[0], far * direction[1]));
      this.panel.share();
    } else if (another !== undefined) this.choose(another, true);
    else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove();
      this.picture.points.children[this.panel.state.selected].focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  // Other points than before.
  take(points) {
    const { state } = this.panel;
    const size = points.re.length;
    Object.assign(state, { points, state_size: size, selected: Math.min(state.selected, size - 1), hovered: null });
    this.picture.rebuild(size);
    Array.from(this.picture.points.children, (point, n) => {
      point.setAttribute("role", "slider");
      point.setAttribute(...OUR_KEYS);
      point.setAttribute("aria-label", `${this.word[0].toUpperCase()}${this.word.slice(1)} ${n + 1} of ${size}`);
      point.setAttribute("tabindex", n === state.selected ? "0" : "-1"); // Page Up and Page Down go to the others
    });
    this.rebuilt(size);
  }

  move(n, re, im) {
    const { points } = this.panel.state;
    this.byHand();
    [points.re[n], points.im[n]] = [re, im];
    this.panel.schedule();
  }

  select(n, focus) {
    const { state } = this.panel;
    const { children } = this.picture.points;
    children[state.selected]?.setAttribute("tabindex", "-1");
    children[n].setAttribute("tabindex", "0");
    state.selected = n;
    if (focus) children[n].focus({ preventScroll: true });
    this.panel.schedule();
  }

  choose(n, focus = false) {
    this.select(n, focus);
    this.panel.share();
  }

  hover(found) {
    const n = found && found[0];
    if (n === this.panel.state.hovered) return;
    this.panel.state.hovered = n;
    this.panel.schedule();
  }

  add(re, im) {
    const { state } = this.panel;
    const size = state.points.re.length;
    if (size === this.most) return;
    this.byHand();
    this.take(joined(state.points, re, im));
    this.choose(size, true);
  }

  remove() {
    const { state } = this.panel;
    if (state.points.re.length === 1) return;
    this.byHand();
    this.take(without(state.points, state.selected));
    this.choose(state.selected);
  }

  showFields() {
    const { panel, most, word } = this;
    const { points, selected: n } = panel.state;
    const size = points.re.length;
    panel.field("selected").max = size;
    panel.write("selected", n + 1);
    for (const [name, { read }] of Object.entries(this.coordinates)) panel.write(name, read(...this.at(n)));
    panel.field("remove").disabled = size === 1;
    panel.field("add").disabled = size === most;
    panel.tell(".selected-name", `${word} ${n + 1}`);
  }
}
