// A pen on a plot of a row of numbers: it is focused and keyed, and a pointer on the sheet moves it and writes.

import { OUR_KEYS } from "./controls.mjs";

const NEAR = 30; // pixels: so close to a number a finger takes hold of it

export const penStyle = (name) => `
.${name} .over { position: relative; }
.${name} .pen { position: absolute; left: -8px; top: -8px; width: 16px; height: 16px; border: 2px solid var(--panel-text); border-radius: 50%; pointer-events: none; outline: none; }
.${name} .pen:focus-visible { box-shadow: 0 0 0 3px var(--panel-2); }`;

// The pen's element, on a layer that begins where the plot's sheet does; label: what it writes, as it is spoken.
export function penOn({ canvas }, label, more = {}) {
  const pen = Object.assign(document.createElement("span"), { className: "pen" });
  const attributes = { role: "slider", tabindex: "0", "aria-label": label, "aria-orientation": "vertical", ...more, [OUR_KEYS[0]]: OUR_KEYS[1] };
  for (const [name, value] of Object.entries(attributes)) pen.setAttribute(name, value);
  const over = Object.assign(document.createElement("div"), { className: "over" });
  over.append(pen);
  canvas.before(over);
  return pen;
}

// Whether a pointer is near a number of the row; place(event): the number's index and the value under the pointer,
// height(i): where the number stands, in pixels from the sheet's top.
export const nearNumber = ({ canvas }, place, height) => (event) => {
  const [i] = place(event);
  return Math.abs(height(i) - (event.clientY - canvas.getBoundingClientRect().top)) < NEAR;
};

// A pointer on the sheet: near(event) says whether a finger takes hold of a number, begin([i, value]) and
// go([i, value]) write. row and of: the names in panel.state of the numbers and of what says where they come from.
export function writeByHand(panel, { canvas }, pen, { place, near, begin, go, row, of }) {
  const { state } = panel;
  let holding = false;
  let before = null; // the numbers before they were touched
  panel.drag(canvas, {
    grab: (event) => {
      holding = near(event);
      before = { [row]: state[row].slice(), [of]: state[of] };
      pen.focus({ preventScroll: true });
      begin(place(event));
      return true;
    },
    move: (event) => go(place(event)),
    drop: (event) => {
      if (event.type === "pointercancel") Object.assign(state, before); // the finger went on to scroll the page
      panel.schedule();
      panel.share();
    },
    holds: () => holding, // elsewhere a finger that moves up or down scrolls the page
  });
}

// Strokes write(i, value) every number on their way: begin at one place, go to others.
export function strokes(write) {
  let last = null; // where the pen was
  function go([i, value]) {
    const [from, height] = last;
    const many = Math.abs(i - from);
    for (let step = 1; step <= many; step++) write(from + step * Math.sign(i - from), height + (step / many) * (value - height));
    if (many === 0) write(i, value);
    last = [i, value];
  }
  return {
    go,
    begin: (to) => {
      last = to;
      go(to);
    },
  };
}
