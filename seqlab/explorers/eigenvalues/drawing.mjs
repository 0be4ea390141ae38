// What is computed for one state of the explorer, and its plots.

import { decadeAbove, decadeTicks, faded, linearTicks } from "../base/plot.mjs";
import { plural } from "../base/words.mjs";
import { gamma, gradientNorm, halfLife, impulseResponse, magnitudeResponse, modulus, phase } from "./mathematics.mjs";

const LIFE_RANGE = [0.1, 1e4]; // or up to the decade of the longest life
const BINS_PER_DECADE = 5;
const GRADIENT_FLOOR = 1e-6;
export const FAN = 24; // more lines than this only cost time

// Everything the plots show for one state. It is recomputed whole at every change: 256 modes cost a few milliseconds.
export function compute(state) {
  const { points: all, horizon } = state;
  const radii = all.re.map((_, n) => modulus(all, n));
  // Without γ every mode has weight 1. A mode outside the disk has no γ and is left out of curves that use it.
  const weights = radii.map((r) => (state.normalize ? (r < 1 ? gamma(r) : 0) : 1));
  const one = (n) => ({ re: all.re.subarray(n, n + 1), im: all.im.subarray(n, n + 1) });
  // An even grid, and the frequency of each mode whose peak, 1 - |λ| wide, would fall between its points.
  const spacing = Math.PI / 160;
  const peaks = Array.from(radii.keys()).filter((n) => Math.abs(1 - radii[n]) < spacing).map((n) => Math.abs(phase(all, n)));
  const frequencies = new Float64Array(161 + peaks.length).map((_, i) => (i < 161 ? i * spacing : peaks[i - 161])).sort();
  const distances = new Float64Array(101).map((_, i) => (horizon * i) / 100);
  return {
    radii,
    halfLives: radii.map(halfLife),
    impulse: impulseResponse(all, horizon + 1, weights),
    frequencies,
    magnitude: magnitudeResponse(all, frequencies, weights),
    gradient: { distances, ...gradientNorm(all, distances) },
    highlights: highlighted(state).map((n) => ({
      n,
      radius: radii[n],
      impulse: impulseResponse(one(n), horizon + 1, weights.subarray(n, n + 1)),
      magnitude: magnitudeResponse(one(n), frequencies, weights.subarray(n, n + 1)),
      phase: Math.abs(phase(all, n)),
    })),
  };
}

// The selected mode and, above it, the one under the pointer.
const highlighted = ({ selected, hovered }) => (hovered === null || hovered === selected ? [selected] : [selected, hovered]);
const highlightColor = (state, style, n) => (n === state.selected ? style.picked : style.hovered);

export function drawImpulse(plot, state, shown, style) {
  const curves = [shown.impulse, ...shown.highlights.map((mode) => mode.impulse)];
  let [low, high] = [0, 0];
  for (const curve of curves) for (const value of curve) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (high === low) high = 1;
  [low, high] = [Math.max(low, -1e12), Math.min(high, 1e12)];
  const margin = 0.06 * (high - low);
  const y = [low - margin, high + margin];
  plot.begin({ x: [0, state.horizon], y, xTicks: linearTicks(0, state.horizon), yTicks: linearTicks(...y), xLabel: "steps t after the impulse" }, style);
  const times = shown.impulse.map((_, t) => t);
  for (const mode of shown.highlights) plot.line(times, mode.impulse, highlightColor(state, style, mode.n), { width: 1.5 });
  plot.line(times, shown.impulse, style.mean, { width: 2.5 });
  plot.end();
}

export function drawMagnitude(plot, state, shown, style) {
  let [least, most] = [1, 1];
  for (const curve of [shown.magnitude, ...shown.highlights.map((mode) => mode.magnitude)]) {
    for (const value of curve) if (value > 0 && value < Infinity) [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  const high = 10 ** Math.ceil(Math.log10(most) + 0.05);
  const low = Math.max(10 ** Math.floor(Math.log10(least) - 0.05), high * 1e-6);
  const clip = (curve) => curve.map((v) => Math.min(Math.max(v, low / 10), high * 10));
  const xTicks = [[0, "0"], [Math.PI / 4, "π/4"], [Math.PI / 2, "π/2"], [(3 * Math.PI) / 4, "3π/4"], [Math.PI, "π"]];
  plot.begin({ x: [0, Math.PI], y: [low, high], logY: true, xTicks, yTicks: decadeTicks(low, high), xLabel: "frequency ω, radians a step" }, style);
  for (const mode of shown.highlights) {
    const color = highlightColor(state, style, mode.n);
    plot.line([mode.phase, mode.phase], [low, high], color, { width: 1, dash: [2, 3] });
    plot.line(shown.frequencies, clip(mode.magnitude), color, { width: 1.5 });
  }
  plot.line(shown.frequencies, clip(shown.magnitude), style.mean, { width: 2.5 });
  plot.end();
}

export function drawMemory(plot, state, shown, style) {
  const longest = shown.halfLives.reduce((most, life) => (life < Infinity ? Math.max(most, life) : most), 0);
  const [low, high] = [LIFE_RANGE[0], decadeAbove(longest, LIFE_RANGE[1], 1e16)];
  const bins = BINS_PER_DECADE * Math.round(Math.log10(high / low));
  const place = (life) => Math.min(Math.max(life, low), high);
  const bin = (life) => Math.min(bins - 1, Math.floor((bins * Math.log(place(life) / low)) / Math.log(high / low)));
  const edge = (i) => low * (high / low) ** (i / bins);
  const counts = new Array(bins).fill(0);
  for (const life of shown.halfLives) if (life !== Infinity) counts[bin(life)]++;
  const most = Math.max(1, ...counts);
  const curve = Float64Array.from({ length: 81 }, (_, i) => low * (high / low) ** (i / 80));
  const gain = (life) => Math.sqrt(-Math.expm1((-2 * Math.LN2) / life));
  const axes = { x: [low, high], y: [0, 1.04], logX: true, xTicks: decadeTicks(low, high), yTicks: [[0, "0"], [0.5, "0.5"], [1, "1"]], xLabel: "half-life, steps" };
  plot.begin(axes, style, { name: "γ", rests: () => plot.line(curve, curve.map(gain), style.grid, { width: 1.5 }) });
  const c = plot.context;
  c.fillStyle = style.faint;
  counts.forEach((count, i) => {
    const height = (0.8 * count) / most;
    c.fillRect(plot.x(edge(i)) + 0.5, plot.y(height), plot.x(edge(i + 1)) - plot.x(edge(i)) - 1, plot.y(0) - plot.y(height));
  });
  c.fillStyle = style.mean;
  c.beginPath();
  let last = [-Infinity, -Infinity]; // a dot that the one before it hides, but for less than half a pixel, only costs time
  for (const r of shown.radii.toSorted()) {
    if (r >= 1) break;
    const [x, y] = [plot.x(place(halfLife(r))), plot.y(gamma(r))];
    if (Math.hypot(x - last[0], y - last[1]) < 0.5) continue;
    last = [x, y];
    c.moveTo(x + 2.5, y);
    c.arc(x, y, 2.5, 0, 2 * Math.PI);
  }
  c.fill();
  for (const { n, radius } of shown.highlights) {
    const color = highlightColor(state, style, n);
    const x = place(shown.halfLives[n]);
    plot.line([x, x], [0, 1.04], color, { width: 1, dash: [2, 3] });
    if (radius < 1) plot.dot(x, gamma(radius), 5, color);
  }
  c.fillStyle = style.text;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillText(`tallest bar: ${plural(most, "mode")}`, plot.box.left + 5, plot.y(0.14));
  plot.end();
}

export function drawGradient(plot, state, shown, style) {
  const { distances, rms, largest } = shown.gradient;
  const last = distances.length - 1;
  const high = largest[last] > 1 ? Math.min(largest[last], 1e12) * 2 : 2;
  const floor = (v) => Math.min(Math.max(v, GRADIENT_FLOOR / 1e3), high * 1e3);
  plot.begin({ x: [0, state.horizon], y: [GRADIENT_FLOOR, high], logY: true, xTicks: linearTicks(0, state.horizon), yTicks: decadeTicks(GRADIENT_FLOOR, high, 5), xLabel: "distance k, steps" }, style);
  const c = plot.context;
  const atFloor = -Math.log(GRADIENT_FLOOR);
  // |λ|^k is a straight line on this scale; each is drawn to the right edge or to the floor, whichever it meets first.
  const straight = (radius) => {
    const rate = -Math.log(radius);
    const k = rate * state.horizon > atFloor ? atFloor / rate : state.horizon;
    c.moveTo(plot.x(0), plot.y(1));
    c.lineTo(plot.x(k), plot.y(Math.exp(-rate * k)));
  };
  const sorted = shown.radii.toSorted();
  const every = Math.ceil(sorted.length / FAN);
  c.beginPath();
  for (let n = sorted.length - 1; n >= 0; n -= every) straight(sorted[n]);
  plot.stroke(style.fan, 1);
  const alone = (radius, color, width, dash) => {
    c.beginPath();
    straight(radius);
    plot.stroke(color, width, dash);
  };
  for (const { n, radius } of shown.highlights) alone(radius, highlightColor(state, style, n), 1.5);
  alone(sorted.at(-1), style.mean, 2, [6, 4]);
  plot.line(distances, rms.map(floor), style.mean, { width: 2.5 });
  plot.end();
}

// What the colors of the panel stand for here.
export function roles({ series: [mean, picked, hovered], text, grid, font }) {
  return { mean, picked, hovered, text, grid, font, faint: faded(mean, 30), fan: faded(mean, 22) };
}
