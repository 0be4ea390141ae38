// Plots on a canvas.

import { number, raised } from "./words.mjs";

// A canvas with axes. All lengths are CSS pixels; the backing store follows the screen's density.
export class Plot {
  constructor(parent, name, caption) {
    this.figure = parent.appendChild(document.createElement("figure"));
    this.figure.className = name;
    this.figure.innerHTML = `<figcaption>${caption}</figcaption><canvas role="img"></canvas>`;
    this.canvas = this.figure.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.width = this.height = 0;
  }

  // Clear the canvas, draw the axes, and on them what rests(), which is the same as long as it and the axes are called by the
  // same name: then it comes from a picture.
  begin(axes, style, { name = "", rests = () => {} } = {}) {
    const density = (this.density = globalThis.devicePixelRatio || 1);
    const { canvas, context: c } = this;
    const [pixelsX, pixelsY] = [Math.round(this.width * density), Math.round(this.height * density)];
    if (canvas.width !== pixelsX || canvas.height !== pixelsY) {
      [canvas.width, canvas.height] = [pixelsX, pixelsY];
      this.font = ""; // a canvas of a new size has forgotten everything
    }
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, pixelsX, pixelsY);
    this.scale(axes);
    const called = name && JSON.stringify([name, axes, style, pixelsX, pixelsY]);
    const pictured = called !== "" && called === this.pictured;
    if (pictured) c.drawImage(this.picture, 0, 0);
    c.setTransform(density, 0, 0, density, 0, 0);
    if (!pictured) this.drawAxes(axes, style);
    const { left, right, top, bottom } = this.box;
    c.save();
    c.beginPath();
    c.rect(left, top - 3, Math.ceil(right) - left, Math.ceil(bottom) - top + 6); // an edge between pixels would cost time
    c.clip();
    if (pictured) return;
    rests();
    if (called !== "" && called === this.called) { // the second time: there may be more
      this.picture = Object.assign(document.createElement("canvas"), { width: pixelsX, height: pixelsY });
      this.picture.getContext("2d").drawImage(canvas, 0, 0);
      this.pictured = called;
    }
    this.called = called;
  }

  // From values to places on the screen.
  scale({ x, y, logX = false, logY = false, margin = 40 }) {
    this.box = { left: margin, right: this.width - 14, top: 8, bottom: this.height - 30 };
    const scale = (domain, log, from, to) => {
      const map = log ? Math.log : (v) => v;
      const slope = (to - from) / (map(domain[1]) - map(domain[0]));
      const origin = map(domain[0]);
      return (v) => from + (map(v) - origin) * slope;
    };
    this.x = scale(x, logX, this.box.left, this.box.right);
    this.y = scale(y, logY, this.box.bottom, this.box.top);
  }

  drawAxes({ xTicks, yTicks, xLabel }, style) {
    const c = this.context;
    const { left, right, top, bottom } = this.box;
    if (this.font !== style.font) c.font = this.font = style.font; // to set it, the browser looks at the whole page's style
    c.fillStyle = style.text;
    c.strokeStyle = style.grid;
    c.lineWidth = 1;
    c.beginPath();
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const [value, label] of xTicks) {
      const at = Math.round(this.x(value)) + 0.5;
      c.moveTo(at, top);
      c.lineTo(at, bottom);
      c.fillText(label, at, bottom + 4);
    }
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const [value, label] of yTicks) {
      const at = Math.round(this.y(value)) + 0.5;
      c.moveTo(left, at);
      c.lineTo(right, at);
      c.fillText(label, left - 5, at);
    }
    c.stroke();
    c.textBaseline = "bottom";
    c.fillText(xLabel, right, this.height - 1);
  }

  end() {
    this.context.restore();
  }

  // The line through points whose xs all go one way. What costs time is the stroke: a point is left out where the line passes
  // it by less than a third of the screen's pixels, and a long line is stroked in pieces, each from the last segment of the
  // one before. In a color that shines through, that would show: such a line is to be whole.
  line(xs, ys, color, { width = 2, dash = [], whole = false } = {}) {
    const c = this.context;
    const near = 0.3 / this.density;
    let [x, y] = [this.x(xs[0]), this.y(ys[0])]; // the point before
    let [cornerX, cornerY] = [x, y]; // the last point that the path has
    let [low, high] = [-Infinity, Infinity]; // slopes from there that pass all points since nearly enough
    let [corners, length, start] = [0, 0, 0]; // of the line up to there; where the piece starts
    c.beginPath();
    c.moveTo(x, y);
    for (let i = 1; i < xs.length; i++) {
      const nextX = this.x(xs[i]);
      const nextY = this.y(ys[i]);
      let slope = (nextY - cornerY) / (nextX - cornerX);
      if (!(slope >= low && slope <= high)) { // NaN too: after a step straight up
        c.lineTo(x, y);
        if (++corners % 32 === 0 && !whole) {
          this.stroke(color, width, dash, start);
          start = length;
          c.beginPath();
          c.moveTo(cornerX, cornerY);
          c.lineTo(x, y);
        }
        length += Math.sqrt((x - cornerX) ** 2 + (y - cornerY) ** 2);
        [cornerX, cornerY, low, high] = [x, y, -Infinity, Infinity];
        slope = (nextY - cornerY) / (nextX - cornerX);
      }
      const room = (near * Math.sqrt(1 + slope * slope)) / Math.abs(nextX - cornerX);
      low = Math.max(low, slope - room);
      high = Math.min(high, slope + room);
      x = nextX;
      y = nextY;
    }
    c.lineTo(x, y);
    this.stroke(color, width, dash, start);
  }

  stroke(color, width, dash = [], start = 0) {
    const c = this.context;
    c.strokeStyle = color;
    c.lineWidth = width;
    c.lineJoin = width <= 2 ? "bevel" : "round"; // a thin line's corners look the same, and cost less
    c.lineDashOffset = start;
    c.setLineDash(dash);
    c.stroke();
    c.setLineDash([]);
  }

  dot(x, y, radius, color) {
    const c = this.context;
    c.beginPath();
    c.arc(this.x(x), this.y(y), radius, 0, 2 * Math.PI);
    c.fillStyle = color;
    c.fill();
  }
}

export function linearTicks(low, high, count = 4) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push([i * step, number(i * step)]);
  return ticks;
}

export function decadeTicks(low, high, most = 6) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.ceil((last - first + 1) / most);
  const ticks = [];
  for (let e = first; e <= last; e += step) ticks.push([10 ** e, e < 4 ? number(10 ** e, 1) : `10${raised(e)}`]);
  return ticks;
}

// The decade that holds value, or the one given, whichever is higher: the end of an axis that follows its data.
export const decadeAbove = (value, least, most) => Math.min(Math.max(least, 10 ** Math.ceil(Math.log10(value) - 1e-9)), most);

export const held = (value, low, high) => (value >= low ? Math.min(value, high) : low); // NaN, the difference of two infinities, too
export const faded = (color, percent) => `color-mix(in srgb, ${color} ${percent}%, transparent)`;

// A legend's entry, beside a sample of the line: kind is "", "dashed", "dotted", "bar" or "dot", color a CSS variable.
export const key = (kind, color, words) => `<span class="key ${kind}" style="--color: var(--${color})">${words}</span>`;
