// The selection explorer: a stream of tokens, the step Δ and the B and C that a trained selective model chooses for each of them,
// its modes decaying and being written, and beside them those of a time-invariant model that was trained on the same task.

import { choice, html, slider } from "../base/controls.mjs";
import { Panel } from "../base/panel.mjs";
import { penOn, penStyle, writeByHand } from "../base/pen.mjs";
import { Plot, held, key } from "../base/plot.mjs";
import { number } from "../base/words.mjs";
import { DASHES, LEAST, MARGIN, MOST, compute, drawModes, drawProjections, drawSteps, roles } from "./drawing.mjs";
import { CHANNELS, LETTERS, MODES, TOKENS, chosenSteps, textOf, tokensOf } from "./mathematics.mjs";
import { ONE_STEP, RULES, STREAMS } from "./streams.mjs";
import { answerLine, asked, describeAll, keptLine, score, tokenName } from "./words.mjs";

const MOST_TOKENS = 32;

const STYLE = `
.selection-explorer .key.dashdot::before { border-top: 0; height: 3px; background: repeating-linear-gradient(to right, var(--color) 0 .55em, transparent .55em .75em, var(--color) .75em .9em, transparent .9em 1.1em); }
.selection-explorer .steps canvas { touch-action: pan-y; cursor: crosshair; user-select: none; -webkit-user-select: none; }${penStyle("selection-explorer")}
.selection-explorer .pen { background: color-mix(in srgb, var(--panel-text) 20%, transparent); }
.selection-explorer .place { display: block; font-size: 1em; margin-inline: calc(${MARGIN - 8}px + (100% - ${MARGIN + 14}px) / (2 * var(--tokens))) calc(6px + (100% - ${MARGIN + 14}px) / (2 * var(--tokens))); }
.selection-explorer .place input { display: block; width: 100%; }
.selection-explorer [data-parameter=text] { width: min(23em, 100%); }
.selection-explorer [data-parameter=text] input { font-family: ui-monospace, monospace; min-height: 2.1em; padding: .15em .5em; border: 1px solid color-mix(in srgb, var(--panel-text) 55%, transparent); border-radius: 5px; background: transparent; width: 100%; }
.selection-explorer .palette { justify-content: center; gap: .3em .35em; margin: .2em 0 0; }
.selection-explorer .palette button { min-width: 2.3em; padding-inline: .5em; }
.selection-explorer :is(.selective, .invariant) .reading { white-space: pre-line; }
.selection-explorer .projections canvas { height: 190px; flex-basis: 190px; }
@container (min-width: 600px) { .selection-explorer .panels { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }`;

// A text of tokens: what is typed counts at once, and when it is done the field shows what was taken.
const text = {
  moves: "input",
  applies: () => true,
  markup: (name) => `<span>Stream: letters a to d, 1, 2, and . for a blank</span><input type="text" name="${name}" aria-label="stream of tokens" maxlength="${MOST_TOKENS}" spellcheck="false" autocomplete="off" autocapitalize="off">`,
  read: (field) => field.value.toLowerCase(),
  write: (panel, name, value) => panel.write(name, value),
};

const CONTROLS = {
  stream: choice("Example", Object.entries(STREAMS).map(([name, { words }]) => [name, words]), { wide: true }),
  text,
  rule: choice("Steps Δ", Object.entries(RULES), { wide: true }),
  channel: slider("channel", { spoken: "channel whose modes are drawn", min: 1, max: CHANNELS, step: 1 }),
};

const BODY = `
<fieldset><legend>Stream and model</legend>${html(CONTROLS, "stream", "text", "rule", "channel")}</fieldset>
<div class="panels"></div>
<output aria-live="polite"></output>
<details><summary>What exactly is drawn</summary><ul>
  <li>Two models of one layer, ${CHANNELS} channels and ${MODES} modes a channel, trained on streams like these: “1” asks for the latest letter, “2” for the one before it. In the selective one Δ, B and C are linear functions of the token (Δ through a softplus, one for all channels); in the time-invariant one they are constants, and each channel has its own. Both have the same gate and readout after it.</li>
  <li>Δ: how long each token lasts, on a logarithmic axis. A long step makes a mode forget and lets the token in; a short one leaves everything as it is. Drag it, and the model runs with your Δ.</li>
  <li>B and C: what the selective model writes by and reads by. Areas are sizes, filled squares positive, hollow ones negative.</li>
  <li>Modes: h' = A h + B u for as long as the token lasts, then the next token: zero-order hold, h<sub>t</sub> = e<sup>Δ<sub>t</sub>A</sup> h<sub>t−1</sub> + (e<sup>Δ<sub>t</sub>A</sup> − 1)/A · B<sub>t</sub> u<sub>t</sub>. The channels of the two models have nothing to do with each other.</li>
  <li>Above the modes, what the model answers to each question: boxed where it is right, struck out where it is wrong.</li>
</ul></details>`;

const PLACE = '<label class="place"><input type="range" name="position" aria-label="token under the cursor" min="0" step="1"></label>';
const names = [...TOKENS].map((token, i) => [token, i === 0 ? "blank" : i <= LETTERS ? `letter ${token}` : `question ${token}`]);
const PALETTE = `
<fieldset class="palette"><legend>Token at the cursor</legend>${names.map(([token, name], i) => `<button type="button" data-token="${i}" aria-label="Make it a ${name}">${token}</button>`).join("")}
<button type="button" name="insert">Insert a blank</button><button type="button" name="delete">Delete</button></fieldset>
<p class="hint">Drag a Δ. <span class="keys">Keys on the pen: left and right move it, up and down lengthen or shorten the step.</span></p>`;
const MODE_KEYS = DASHES.map((_, n) => key(["", "dashed", "dotted", "dashdot"][n], `panel-${n + 1}`, `h${"₁₂₃₄"[n]}`)).join("");

// What is given without a name is a choice of its own.
function defaults(get) {
  return { stream: get("text") ? "custom" : "gaps", rule: get("delta")?.length ? "custom" : "model", position: 6, channel: 1 };
}

function render(host) {
  const panel = new Panel(host, {
    name: "selection-explorer", defaults,
    also: { text: () => textOf(state.tokens), delta: () => Array.from(state.delta) },
    controls: CONTROLS, body: BODY, style: STYLE, take, changed, draw,
  });
  const { state, figures } = panel;
  const field = (name) => panel.field(name);
  const plots = {
    steps: new Plot(figures, "steps", `<strong>Step Δ of each token</strong>${key("bar", "panel-1", "letters")}${key("bar", "panel-2", "questions")}`),
    projections: new Plot(figures, "projections", `<strong>Writing and reading</strong>${key("bar", "panel-1", "B")}${key("bar", "panel-2", "C")}`),
    selective: new Plot(figures, "selective", `<strong>Selective</strong>${MODE_KEYS}`),
    invariant: new Plot(figures, "invariant", `<strong>Time-invariant</strong>${MODE_KEYS}`),
  };
  plots.steps.figure.insertAdjacentHTML("beforeend", PLACE + PALETTE);
  plots.projections.figure.insertAdjacentHTML("beforeend", '<p class="reading token"></p>');
  for (const name of ["selective", "invariant"]) plots[name].figure.insertAdjacentHTML("beforeend", '<p class="reading"></p>');
  const sheet = plots.steps.canvas;
  const pen = penOn(plots.steps, "Step of the token", { "aria-valuemin": LEAST, "aria-valuemax": MOST });

  // ---- drawing

  function draw() {
    const shown = compute(state);
    if (plots.steps.width > 0) {
      const style = roles(panel.style);
      drawSteps(plots.steps, state, shown, style);
      drawProjections(plots.projections, state, shown, style);
      for (const name of ["selective", "invariant"]) drawModes(plots[name], state, shown[name], shown, style);
      placePen();
    }
    const { position: t, tokens, delta } = state;
    panel.tell(".reading.token", `Token ${t + 1}: ${tokenName(tokens[t])}`);
    for (const name of ["selective", "invariant"]) {
      panel.tell(`.${name} .reading`, `${keptLine(shown[name], shown.at)}\n${answerLine(shown[name], shown.right, t)}\n${score(shown[name], shown.right)} of ${asked(shown.right)} questions right`);
    }
    const place = field("position");
    if (place.max !== String(tokens.length - 1)) { // what the page's style follows is written when it changes
      place.max = tokens.length - 1;
      panel.root.style.setProperty("--tokens", tokens.length);
    }
    place.value = t;
    place.setAttribute("aria-valuetext", `token ${t + 1} of ${tokens.length}, ${tokenName(tokens[t])}`);
    field("insert").disabled = tokens.length === MOST_TOKENS;
    field("delete").disabled = tokens.length === 1;
    return () => {
      panel.say(describeAll(state, shown));
      panel.describe(plots.steps, `Steps: ${Array.from(tokens, (token, i) => `${TOKENS[token]} ${number(delta[i], 2)}`).join(", ")}.`);
      panel.describe(plots.projections, `B and C of ${MODES} modes for each of ${tokens.length} tokens, as squares.`);
      for (const name of ["selective", "invariant"]) panel.describe(plots[name], `The ${MODES} modes of channel ${state.channel}, ${keptLine(shown[name], shown.at)}; ${score(shown[name], shown.right)} of ${asked(shown.right)} questions right.`);
    };
  }

  function placePen() {
    const { steps } = plots;
    const { position: t, delta } = state;
    pen.style.transform = `translate(${steps.x(t)}px, ${steps.y(held(delta[t], LEAST, MOST))}px)`;
    pen.setAttribute("aria-valuenow", delta[t]);
    pen.setAttribute("aria-valuetext", `Δ of token ${t + 1} = ${number(delta[t])}`);
  }

  // ---- state

  function take(get) {
    const [given, delta] = [get("text"), get("delta")];
    takeTokens(tokensOf(given || STREAMS[state.stream].text), state.rule);
    if (delta?.length === state.tokens.length) state.delta = Float64Array.from(delta);
  }

  // Another stream; steps by hand were for the tokens of the one before.
  function takeTokens(tokens, rule = state.rule === "custom" ? "model" : state.rule) {
    Object.assign(state, { tokens, rule, text: textOf(tokens), position: Math.min(state.position, tokens.length - 1) });
    takeRule();
  }

  function takeRule() {
    if (state.rule !== "custom") state.delta = state.rule === "model" ? chosenSteps(state.tokens) : new Float64Array(state.tokens.length).fill(ONE_STEP);
  }

  function edit(tokens) {
    state.stream = "custom";
    takeTokens(Float64Array.from(tokens));
  }

  function changed(name) {
    if (name === "stream" && state.stream !== "custom") takeTokens(tokensOf(STREAMS[state.stream].text));
    if (name === "text") {
      const typed = tokensOf(state.text);
      if (typed.length) edit(typed);
      else state.text = textOf(state.tokens);
    }
    if (name === "rule") takeRule();
  }

  panel.listen(panel.root, "click", ({ target }) => {
    const { tokens, position: t } = state;
    if (target.dataset.token) edit(tokens.map((token, i) => (i === t ? Number(target.dataset.token) : token)));
    else if (target.name === "insert") edit([...tokens.subarray(0, t), 0, ...tokens.subarray(t)]);
    else if (target.name === "delete") edit(tokens.filter((_, i) => i !== t));
    else return;
    panel.schedule();
    panel.share();
  });
  panel.listen(field("position"), "input", () => {
    state.position = Number(field("position").value);
    panel.schedule();
  });
  panel.listen(field("position"), "change", () => panel.share()); // once it is let go

  // ---- pen

  // The token and the step under a pointer.
  function place({ clientX, clientY }) {
    const frame = sheet.getBoundingClientRect();
    const { x, y } = plots.steps;
    const part = (y(LEAST) - (clientY - frame.top)) / (y(LEAST) - y(MOST));
    const t = Math.round((clientX - frame.left - x(0)) / (x(1) - x(0)));
    return [held(t, 0, state.tokens.length - 1), LEAST * (MOST / LEAST) ** held(part, 0, 1)];
  }

  function write(t, step) {
    state.delta[t] = Number(held(step, LEAST, MOST).toPrecision(4));
    Object.assign(state, { rule: "custom", position: t });
    panel.schedule();
  }

  const near = (event) => {
    const [t, step] = place(event);
    return Math.abs(plots.steps.y(step) - plots.steps.y(held(state.delta[t], LEAST, MOST))) < 30;
  };
  const begin = (at) => write(...at);
  const go = ([, step]) => write(state.position, step);
  writeByHand(panel, plots.steps, pen, { place, near, begin, go, row: "delta", of: "rule" });

  panel.listen(pen, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { tokens, position: t } = state;
    const many = event.shiftKey ? 4 : 1;
    const along = { ArrowLeft: -many, ArrowRight: many, Home: -tokens.length, End: tokens.length }[event.key];
    const up = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key]; // powers of ten
    if (along !== undefined) {
      state.position = held(t + along, 0, tokens.length - 1);
      panel.schedule();
    } else if (up !== undefined) {
      write(t, state.delta[t] * 10 ** (many * up));
    } else return;
    panel.share();
    event.preventDefault();
  });

  return panel.start(Object.values(plots));
}

export default { render };
