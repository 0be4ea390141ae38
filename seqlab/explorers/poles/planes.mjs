// The s-plane and the z-plane.

import { held, linearTicks } from "../base/plot.mjs";
import { Picture, label, svgElement } from "../base/points.mjs";
import { minus } from "../base/words.mjs";
import { images } from "./mathematics.mjs";

const CIRCLE = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;

// A fate has a shape, so that no color need be told from another: at a place, and of a radius.
const SHAPED = {
  stable: CIRCLE,
  ringing: (x, y, r) => `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}Z`,
  aliased: (x, y, r) => `M${x} ${y - 1.3 * r}l${1.25 * r} ${2.25 * r}h${-2.5 * r}Z`,
  unstable: (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`,
};
export const SHAPES = Object.fromEntries(Object.entries(SHAPED).map(([fate, shaped]) => [fate, shaped(0, 0, 1)]));
const CROWD = 16; // more markers than this are a few elements while a slider moves them
const CROWDS = ["mirrors", "filled", "hollow"];

// A square picture of a part of the complex plane. Lengths on the screen are CSS pixels from its center; y points down there.
// A part of the complex plane: what lies under everything, mirror images, and the points.
export class Plane extends Picture {
  constructor(parent, name, caption) {
    const figure = parent.appendChild(document.createElement("figure"));
    figure.className = `picture plane ${name}`;
    figure.innerHTML = `<figcaption>${caption}</figcaption>`;
    super(figure, "path", 2);
    this.figure = figure;
    this.crowds = CROWDS.map((name) => {
      const path = svgElement(this.svg, "path");
      path.setAttribute("class", `crowd ${name}`);
      path.setAttribute("aria-hidden", "true");
      return path;
    });
    this.center = 0; // real part in the middle
    this.extent = 1; // from the middle to an edge
  }

  get unit() {
    return this.size / 2 / this.extent;
  }

  exact(re, im) {
    return [(re - this.center) * this.unit, -im * this.unit];
  }

  // Where a number is shown: one that is out of the picture waits at its edge.
  screen(re, im) {
    const edge = this.size / 2 - 7;
    return this.exact(re, im).map((at) => held(at, -edge, edge));
  }

  number(x, y) {
    return [x / this.unit + this.center, -y / this.unit];
  }

  // While a slider moves a crowd, only the selected marker is an element of its own: hundreds would cost more than a frame.
  show({ re, im }, fates, state, sliding = false) {
    const { pairs, selected } = state;
    const radius = fates.length > 24 ? 4 : 5.5;
    const crowd = sliding && fates.length > CROWD;
    const outlines = { mirrors: "", filled: "", hollow: "" };
    const outline = (n, sign, r) => SHAPED[fates[n]](...this.screen(re[n], sign * im[n]).map(Math.round), r);
    this.svg.classList.toggle("crowded", crowd);
    for (let n = 0; n < fates.length; n++) {
      if (crowd && n !== selected) {
        outlines[fates[n] === "unstable" ? "hollow" : "filled"] += outline(n, 1, radius);
        if (pairs && im[n] !== 0) outlines.mirrors += outline(n, -1, 0.85 * radius);
        continue;
      }
      this.place(n, `${re[n]} ${im[n]} ${fates[n]} ${n === selected} ${this.center} ${this.unit} ${pairs}`, ([mirror, point]) => {
        const size = (n === selected ? 1.45 : 1) * radius;
        const write = (marker, outline, [x, y], scale) => {
          change(marker, "d", outline);
          change(marker, "data-fate", fates[n]);
          marker.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
        };
        write(point, SHAPES[fates[n]], this.screen(re[n], im[n]), size);
        write(mirror, pairs && im[n] !== 0 ? SHAPES[fates[n]] : "", this.screen(re[n], -im[n]), 0.85 * size);
      });
    }
    CROWDS.forEach((name, i) => change(this.crowds[i], "d", outlines[name]));
    this.mark(state);
  }

  // A line through complex numbers.
  path({ re, im }) {
    return Array.from(re, (x, n) => `${n ? "L" : "M"}${this.exact(x, im[n]).map((at) => at.toFixed(1)).join(" ")}`).join("");
  }
}

// An attribute that is written has its style computed again, whether it is another one or not.
function change(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const shape = (kind, d) => `<path class="${kind}" fill-rule="evenodd" d="${d}"/>`;

export function drawSPlane(plane, { dt, method }) {
  plane.draw((half) => {
    const [x0, y0] = plane.exact(0, 0);
    const radius = plane.unit / dt;
    const all = `M${-half} ${-half}H${half}V${half}H${-half}Z`;
    const left = `M${-half} ${-half}H${held(x0, -half, half)}V${half}H${-half}Z`;
    const stable = { euler: CIRCLE(x0 - radius, y0, radius), backward_euler: `${all}${CIRCLE(x0 + radius, y0, radius)}`, bilinear: left, zoh: left }[method];
    const nyquist = (Math.PI / dt) * plane.unit;
    const seen = Math.min(nyquist, half);
    const ticks = (low, high) => linearTicks(low, high, 5).filter(([value]) => Math.abs(value) > 1e-9 * (high - low));
    const across = ticks(plane.center - plane.extent, plane.center + plane.extent);
    const along = ticks(-plane.extent, plane.extent);
    return shape("region", stable) +
      shape("grid", across.map(([value]) => `M${plane.exact(value, 0)[0]} ${-half}V${half}`).join("") + along.map(([value]) => `M${-half} ${plane.exact(0, value)[1]}H${half}`).join("")) +
      shape("axis", `M${-half} ${y0}H${half}M${x0} ${-half}V${half}`) +
      (nyquist < half ? shape("strip", `M${-half} ${-nyquist}H${half}M${-half} ${nyquist}H${half}`) + label(half - 4, nyquist > 16 ? -nyquist + 13 : -nyquist - 4, "π/dt", "end") + label(half - 4, nyquist > 16 ? nyquist - 4 : nyquist + 13, "−π/dt", "end") : "") +
      shape("frequencies", `M${x0} ${-seen}V${seen}`) +
      across.filter(([value]) => Math.abs(plane.exact(value, 0)[0]) < half - 14).map(([value, words]) => label(plane.exact(value, 0)[0], half - 4, minus(words))).join("") +
      along.filter(([value]) => Math.abs(plane.exact(0, value)[1]) < half - 20).map(([value, words]) => label(-half + 4, plane.exact(0, value)[1] + 4, `${minus(words)} i`, "start")).join("");
  });
}

const FREQUENCIES = { re: new Float64Array(97), im: Float64Array.from({ length: 97 }, (_, i) => (Math.PI * (i - 48)) / 48) }; // |Im s| dt <= π

export function drawZPlane(plane, { method }) {
  plane.draw((half) => {
    const [x0, y0] = plane.exact(0, 0);
    const one = plane.unit;
    const disk = CIRCLE(x0, y0, one);
    const fromLeft = { euler: `M${-half} ${-half}H${x0 + one}V${half}H${-half}Z`, backward_euler: CIRCLE(x0 + one / 2, y0, one / 2), bilinear: disk, zoh: disk }[method];
    return shape("region", fromLeft) +
      shape("axis", `M${-half} ${y0}H${half}M${x0} ${-half}V${half}`) + shape("rim", disk) +
      shape("frequencies", plane.path(images(FREQUENCIES, 1, method))) +
      label(x0 + one + 5, y0 + 16, "1", "start") + label(x0 - one - 5, y0 + 16, "−1", "end") + label(x0 + 5, y0 - one - 5, "i", "start") + label(x0 + 5, y0 + one + 14, "−i", "start");
  });
}
