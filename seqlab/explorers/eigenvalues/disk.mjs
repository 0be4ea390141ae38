// The unit disk with the eigenvalues in it.

import { Picture, label, svgElement } from "../base/points.mjs";
import { radiusText, lifeText, phaseText, steps } from "./words.mjs";

export const LARGEST_RADIUS = 0.9999; // a point moved by hand stays inside the disk, where the LRU can start from it
export const SMALLEST_RADIUS = 0.001;

const VIEW = 1.17; // the picture reaches this far, in disk radii
const RIM = 1e-4; // the stretched scale spreads the radii up to 1 - RIM

// Radius on the screen, as a fraction of the disk's, and back. Stretched, 0.9, 0.99 and 0.999 lie a quarter apart.
const outward = (r, stretched) => (r > 1 ? r : stretched ? Math.log1p(-r * (1 - RIM)) / Math.log(RIM) : r);
const inward = (s, stretched) => (s > 1 ? s : stretched ? (1 - RIM ** s) / (1 - RIM) : s);

const CROWD = 64;
const TOGETHER = 32; // points in one element: more would have the browser sort all their edges at once

// How it looks in a figure called disk.
export const DISK_STYLE = `.explorer-panel .disk svg { overflow: visible; }
.explorer-panel .disk text { paint-order: stroke; }
.explorer-panel .disk .inside { fill: var(--panel-inside); }
.explorer-panel .disk .sector { fill: var(--panel-1); fill-opacity: .13; }
.explorer-panel .disk .axis { stroke: var(--panel-grid); fill: none; }
.explorer-panel .disk .contour { stroke: var(--panel-text); stroke-opacity: .4; stroke-dasharray: 2 4; fill: none; }
.explorer-panel .disk .rim { stroke: var(--panel-text); stroke-width: 1.5; fill: none; }
.explorer-panel .disk [role=slider] { fill: var(--panel-1); fill-opacity: .75; stroke: none; cursor: grab; outline: none; }
.explorer-panel .disk .crowd { fill: none; stroke: var(--panel-1); stroke-opacity: .75; stroke-width: 8; stroke-linecap: round; pointer-events: none; }
.explorer-panel .disk .crowded g [role=slider] { visibility: hidden; }
.explorer-panel .disk .outside { fill: none; stroke: var(--panel-text); stroke-width: 2; }
.explorer-panel .disk .hovered { fill: var(--panel-3); fill-opacity: 1; stroke: var(--panel-3); stroke-width: 3; }
.explorer-panel .disk .selected { fill: var(--panel-2); fill-opacity: 1; stroke: var(--panel-2); stroke-width: 4; }
.explorer-panel .disk [role=slider]:focus-visible { stroke: var(--panel-text); stroke-width: 3; }
`;

export class Disk extends Picture {
  constructor(parent) {
    super(parent, "circle");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("aria-label", "Eigenvalues in the unit disk");
    this.crowd = svgElement(this.svg, "g");
    this.crowd.setAttribute("class", "crowd");
    this.crowd.setAttribute("aria-hidden", "true");
    this.stretched = false;
  }

  get unit() {
    return this.size / 2 / VIEW; // CSS pixels in one disk radius
  }

  // Where an eigenvalue is. Far outside, it waits at the edge.
  screen(re, im) {
    const r = Math.hypot(re, im);
    const s = Math.min(outward(r, this.stretched), VIEW - 0.03) * this.unit;
    return r === 0 ? [0, 0] : [(s * re) / r, (-s * im) / r];
  }

  // The eigenvalue at a place, held inside the disk.
  number(x, y) {
    const s = Math.hypot(x, y) / this.unit;
    const r = Math.min(Math.max(inward(s, this.stretched), SMALLEST_RADIUS), LARGEST_RADIUS);
    return s === 0 ? [r, 0] : [(r * x) / (s * this.unit), (-r * y) / (s * this.unit)];
  }

  drawBackground(state) {
    const at = (r) => outward(r, this.stretched) * this.unit;
    const circle = (r, kind) => `<circle class="${kind}" r="${at(r)}"/>`;
    const lives = this.stretched ? [10, 100, 1000] : [1, 10];
    const edge = this.unit;
    this.draw(() =>
      circle(1, "inside") + this.sector(state, at) +
      `<path class="axis" d="M${-edge} 0H${edge}M0 ${-edge}V${edge}"/>` +
      lives.map((life) => circle(2 ** (-1 / life), "contour")).join("") + circle(1, "rim") +
      // along a ray that the axes leave free; each word stands inside its circle
      lives.map((life, i) => {
        const r = at(2 ** (-1 / life)) - 7;
        return label(-r * Math.sin(0.55), r * Math.cos(0.55) + 3, `${i === 0 ? "half-life " : ""}${steps(life)}`, "start");
      }).join("") +
      label(edge + 5, 4, "1", "start") + label(-edge - 5, 4, "−1", "end") + label(0, -edge - 5, "i") + label(0, edge + 13, "−i"));
  }

  // The region that the ring initialization fills.
  sector({ initialization, r_min, r_max, max_phase }, at) {
    if (initialization !== "ring") return "";
    const end = Math.min(max_phase, 2 * Math.PI - 1e-4);
    const arc = (r, from, to, sweep) => `A${at(r)} ${at(r)} 0 ${end > Math.PI ? 1 : 0} ${sweep} ${at(r) * Math.cos(to)} ${-at(r) * Math.sin(to)}`;
    return `<path class="sector" d="M${at(r_max)} 0${arc(r_max, 0, end, 0)}L${at(r_min) * Math.cos(end)} ${-at(r_min) * Math.sin(end)}${arc(r_min, end, 0, 1)}Z"/>`;
  }

  rebuild(size) {
    super.rebuild(size);
    for (const point of this.points.children) point.setAttribute("r", size > 96 ? 4 : 5.5);
  }

  // While a slider moves a crowd, its points are a few elements: hundreds of them would cost more than a frame.
  show(state, sliding) {
    const { re, im } = state.points;
    const crowd = sliding && re.length > CROWD;
    this.svg.classList.toggle("crowded", crowd);
    if (crowd) this.showCrowd(state.points);
    else this.crowd.replaceChildren();
    this.mark(state);
    if (crowd) return;
    for (let n = 0; n < re.length; n++) {
      this.place(n, `${re[n]} ${im[n]} ${this.stretched} ${this.unit}`, ([point]) => {
        const [x, y] = this.screen(re[n], im[n]);
        point.style.transform = `translate(${x}px, ${y}px)`;
        point.classList.toggle("outside", Math.hypot(re[n], im[n]) >= 1);
      });
    }
  }

  showCrowd({ re, im }) {
    const dots = Array.from(re, (x, n) => `M${this.screen(x, im[n]).map((at) => at.toFixed(1)).join(" ")}h0`);
    const many = Math.ceil(dots.length / TOGETHER);
    while (this.crowd.children.length < many) svgElement(this.crowd, "path");
    Array.from(this.crowd.children, (path, i) => path.setAttribute("d", dots.slice(i * TOGETHER, (i + 1) * TOGETHER).join("")));
  }

  // What a screen reader says of a mode.
  speak(n, { re, im }) {
    const point = this.points.children[n];
    const r = Math.hypot(re[n], im[n]);
    const words = { valuemin: 0, valuemax: Math.max(1, r), valuenow: r.toFixed(5), valuetext: `modulus ${radiusText(r)}, phase ${phaseText(Math.atan2(im[n], re[n]))}, ${lifeText(r)}` };
    for (const [name, value] of Object.entries(words)) point.setAttribute(`aria-${name}`, value);
  }
}
