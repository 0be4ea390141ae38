// A link to an equation shows it: under the pointer, and on focus from the keyboard. Escape closes it. It stays while the
// pointer is on it, and nothing comes from another host: the formulas lie in ../equations.

const DELAY = 150; // milliseconds, so that a pointer on its way elsewhere opens and closes nothing

const box = document.createElement("div");
box.id = "equation-preview";
box.className = "equation-preview";
box.setAttribute("role", "tooltip");
box.hidden = true;
document.body.append(box);

const formulas = new Map(); // anchor to its formula's elements, once somebody asked
let shown; // the link whose equation is shown, or is about to be
let timer;

const linkAt = (target) => target.closest?.("article a[href*='#eq-']");

function formulaOf(anchor) {
  if (!formulas.has(anchor)) {
    const file = new URL(`../equations/${anchor}.html`, import.meta.url);
    formulas.set(anchor, fetch(file).then((found) => (found.ok ? found.text() : undefined)));
  }
  return formulas.get(anchor);
}

async function show(link) {
  clearTimeout(timer);
  if (link === shown) return;
  close();
  const anchor = link.hash.slice(1);
  const number = anchor.match(/^eq-(\d+)-(\d+)$/);
  if (!number) return;
  shown = link;
  const formula = await formulaOf(anchor);
  if (link !== shown || formula === undefined) return;
  box.innerHTML = `<span>(${number[1]}.${number[2]})</span>${formula}`;
  box.hidden = false;
  link.setAttribute("aria-describedby", box.id);
  place(link);
}

function place(link) {
  const at = link.getClientRects()[0] ?? link.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(at.left, room - box.offsetWidth - 8));
  const below = at.bottom + 6;
  const fits = below + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 6;
  const top = fits ? below : at.top - box.offsetHeight - 6;
  box.style.left = `${left + scrollX}px`;
  box.style.top = `${top + scrollY}px`;
}

function close() {
  clearTimeout(timer);
  shown?.removeAttribute("aria-describedby");
  shown = undefined;
  box.hidden = true;
}

function soon(act) {
  clearTimeout(timer);
  timer = setTimeout(act, DELAY);
}

addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return; // a tap follows the link
  const link = linkAt(event.target);
  if (link) soon(() => show(link));
  else if (box.contains(event.target)) clearTimeout(timer);
  else if (shown !== document.activeElement) soon(close);
});
addEventListener("focusin", (event) => {
  const link = linkAt(event.target);
  if (link?.matches(":focus-visible")) show(link);
  else close();
});
addEventListener("focusout", close);
addEventListener("keydown", (event) => event.key === "Escape" && close());
