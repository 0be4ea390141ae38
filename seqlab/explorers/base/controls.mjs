// Controls: each is how a reader sets one value of the state. What an explorer declares,
//
//   const CONTROLS = { order: slider("order N", { min: 1, max: 64, step: 1 }), theta: slider("window θ", { ..., applies: (state) => ... }) };
//
// the panel puts into the page by html(CONTROLS, "order"), writes whenever the state changes, reads whenever the reader moves it,
// and disables where applies(state) is false: a control never goes away, so nothing moves under the reader's hand.

export const OUR_KEYS = ["data-lm-suppress-shortcuts", "true"]; // JupyterLab leaves keys alone where this is on the focused element

const always = () => true;
const same = (value) => value;
export const options = (entries) => entries.map(([value, words]) => `<option value="${value}">${words}</option>`).join("");

// A slider's own scale need not be its value's: toSlider and fromSlider lead from one to the other, text says the value.
export function slider(label, { spoken = label, min, max, step, toSlider = same, fromSlider = same, text = String, applies = always }) {
  return {
    moves: "input",
    applies,
    markup: (name) => `<span>${label} = <b></b></span><input type="range" name="${name}" aria-label="${spoken}" min="${min}" max="${max}" step="${step}">`,
    read: (field) => fromSlider(Number(field.value)),
    write(panel, name, value) {
      panel.write(name, toSlider(value));
      panel.field(name).setAttribute("aria-valuetext", text(value));
      panel.tell(`[data-parameter="${name}"] b`, text(value));
    },
  };
}

// One of several: entries are [value, words]. A value of the state that is none of them becomes one more.
export function choice(label, entries, { wide = false, applies = always } = {}) {
  const known = new Map(entries.map(([value]) => [String(value), value]));
  return {
    moves: "change",
    applies,
    kind: wide ? "wide" : "",
    markup: (name) => `<span>${label}</span><select name="${name}">${options(entries)}</select>`,
    read: (field) => known.get(field.value),
    write(panel, name, value) {
      if (!known.has(String(value))) {
        known.set(String(value), value);
        panel.field(name).add(new Option(value, value));
      }
      panel.write(name, value);
    },
  };
}

// A whole number from min to max: what is out of range is taken to the nearest, and the field shows it.
export function whole(label, { min, max, applies = always }) {
  return {
    moves: "change",
    applies,
    markup: (name) => `<span>${label}</span><input type="number" name="${name}" min="${min}" max="${max}" step="1">`,
    read: (field) => Math.min(Math.max(Math.trunc(field.valueAsNumber) || min, min), max),
    write: (panel, name, value) => panel.write(name, value),
  };
}

// A line of text: of what is typed, clean(text) is used, and the field shows it.
export function line(label, { most, clean, applies = always }) {
  return {
    moves: "change",
    applies,
    kind: "wide",
    markup: (name) => `<span>${label}</span><input type="text" name="${name}" maxlength="${most}" autocomplete="off" autocapitalize="none" spellcheck="false">`,
    read: (field) => clean(field.value),
    write: (panel, name, value) => panel.write(name, value),
  };
}

export function check(label, { applies = always } = {}) {
  return {
    moves: "change",
    applies,
    kind: "check",
    markup: (name) => `<input type="checkbox" name="${name}">${label}`,
    read: (field) => field.checked,
    write: (panel, name, value) => (panel.field(name).checked = value),
  };
}

export const html = (controls, ...names) =>
  names.map((name) => `<label data-parameter="${name}" class="${controls[name].kind ?? ""}">${controls[name].markup(name)}</label>`).join("");
