// Whatever scrolls sideways inside the page (a long formula, code, a wide table) can be reached and scrolled from the keyboard.

const SCROLLERS = "div.math, figure.seqlab-figure, div.highlight pre, .seqlab-source, .pst-scrollable-table-container, div.cell_output .output";

function offerFocus() {
  for (const box of document.querySelectorAll(SCROLLERS)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (scrolls) box.tabIndex = 0;
    else if (!box.hasAttribute("aria-label")) box.removeAttribute("tabindex");
  }
}

let due = 0;
const sizes = new ResizeObserver(() => {
  cancelAnimationFrame(due);
  due = requestAnimationFrame(offerFocus);
});
for (const box of document.querySelectorAll(SCROLLERS)) sizes.observe(box); // at once, and whenever a box changes its size
await document.fonts.ready;
offerFocus();
