// On paper nothing unfolds: solutions and answers are opened for printing, and folded again afterwards.

const opened = new Set();

addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details.solution:not([open])")) {
    fold.open = true;
    opened.add(fold);
  }
});
addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
  opened.clear();
});
