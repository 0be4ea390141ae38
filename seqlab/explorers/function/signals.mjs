// Signals to begin with, the same as in Python.

const bell = (t, middle, width) => Math.exp(-(((t - middle) / width) ** 2));
const wave = (cycles) => Math.sin(2 * Math.PI * cycles);

// Signals to begin with, as functions of t from 0 to 1.
export const PRESETS = {
  two_tones: { name: "Two tones", at: (t) => 0.6 * wave(2 * t) + 0.3 * wave(9 * t) },
  step: { name: "Step", at: (t) => (t < 0.35 ? -0.6 : 0.6) },
  chirp: { name: "Chirp", at: (t) => 0.8 * wave(t + 9 * t * t) },
  noise: { // harmonics 1 to 12 with phases that have no pattern
    name: "Band-limited noise",
    at: (t) => {
      let sum = 0;
      for (let m = 1; m <= 12; m++) sum += wave(m * t + ((m * m * 0.6180339887498949) % 1));
      return 0.19 * sum;
    },
  },
  heartbeat: {
    name: "Heartbeat",
    at: (t) => [0.2, 0.7].reduce((sum, beat) =>
      sum + 0.12 * bell(t, beat - 0.09, 0.025) - 0.15 * bell(t, beat - 0.017, 0.008) + 0.95 * bell(t, beat, 0.01) - 0.25 * bell(t, beat + 0.019, 0.009) + 0.25 * bell(t, beat + 0.13, 0.04), 0),
  },
  flat: { name: "Nothing: an empty sheet", at: () => 0 },
};

// Each sample is the signal in the middle of the time over which it holds.
export const preset = (name, samples) => Float64Array.from({ length: samples }, (_, i) => PRESETS[name].at((i + 0.5) / samples));
