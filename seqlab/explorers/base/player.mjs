// A cursor in time, panel.state.time: a slider that stands under a plot's times, and Back, Play and Step.

const STEP_SECONDS = { moving: 0.25, calm: 1 };
const THUMB = 16; // pixels: a slider's ends are the middles of its thumb

// name: the explorer's class; margin: of the plot, left; edge: how much room its axis has before the first time and after the last, in steps
export const playerStyle = (name, { margin, edge }) => `
.${name} .clock { display: block; font-size: 1em; --place: calc(${edge} * (100% - ${margin + 14}px) / (var(--samples) + ${2 * edge - 1})); margin-inline: calc(${margin - THUMB / 2}px + var(--place)) calc(${14 - THUMB / 2}px + var(--place)); }
.${name} .clock input { display: block; width: 100%; }
.${name} .player { margin: .2em 0 0; justify-content: center; align-items: center; }
.${name} .player button { min-width: 5.2em; }
.${name} .now { min-width: 6.5em; font-variant-numeric: tabular-nums; }`;

const MARKUP = `
<label class="clock"><input type="range" name="time" aria-label="time t" min="0" step="1"></label>
<fieldset class="player"><legend>Time</legend>
  <button type="button" name="back">Back</button><button type="button" name="play">Play</button><button type="button" name="step">Step</button><span class="now"></span>
</fieldset>`;

export class Player {
  // length(): how many times there are
  constructor(panel, figure, length) {
    Object.assign(this, { panel, length, timer: null, calm: matchMedia("(prefers-reduced-motion: reduce)") });
    figure.insertAdjacentHTML("beforeend", MARKUP);
    panel.listen(panel.field("play"), "click", () => this.play());
    for (const [name, step] of [["back", -1], ["step", 1]]) {
      panel.listen(panel.field(name), "click", () => {
        this.stop();
        this.goTo(panel.state.time + step);
        panel.share();
      });
    }
    panel.listen(panel.field("time"), "input", () => {
      this.stop();
      this.goTo(Number(panel.field("time").value));
    });
    panel.listen(panel.field("time"), "change", () => panel.share()); // once it is let go
    panel.departures.push(() => this.stop());
  }

  get playing() {
    return this.timer !== null;
  }

  play() {
    const { panel } = this;
    if (this.playing) return this.pause();
    if (panel.state.time === this.length() - 1) panel.state.time = 0;
    this.timer = setInterval(() => this.goTo(panel.state.time + 1), 1000 * (this.calm.matches ? STEP_SECONDS.calm : STEP_SECONDS.moving));
    this.show(); // the button says at once what it does next, here and below
    panel.schedule();
  }

  pause() {
    if (!this.playing) return;
    this.stop();
    this.show();
    this.panel.schedule();
    this.panel.share();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  goTo(time) {
    const last = this.length() - 1;
    this.panel.state.time = Math.min(Math.max(time, 0), last);
    if (this.panel.state.time === last) this.pause();
    this.panel.schedule();
  }

  show() {
    const { panel } = this;
    const { time } = panel.state;
    const last = this.length() - 1;
    panel.field("time").max = last;
    panel.field("time").value = time;
    panel.field("time").setAttribute("aria-valuetext", `t = ${time} of ${last}`);
    panel.field("back").disabled = time === 0;
    panel.field("step").disabled = time === last;
    panel.tell(".now", `t = ${time} of ${last}`);
    panel.tell("[name=play]", this.playing ? "Pause" : "Play");
    panel.root.style.setProperty("--samples", last + 1);
  }
}
