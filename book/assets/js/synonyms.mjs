// Names for the same thing, in lower case and without hyphens: who searches for one finds the others.

export const SYNONYMS = [
  ["install", "installation", "set up", "setup", "how to run it"],
  ["bf16", "bfloat16"],
  ["fp16", "float16", "half precision"],
  ["fp32", "float32", "single precision"],
  ["fp64", "float64", "double precision"],
  ["zoh", "zero order hold"],
  ["foh", "first order hold"],
  ["tustin", "bilinear"],
  ["forward euler", "euler"],
  ["stabiliser", "stabilizer"],
  ["normaliser", "normalizer"],
  ["discretisation", "discretization"],
  ["initialisation", "initialization"],
  ["parallel scan", "prefix scan", "associative scan"],
  ["ssm", "state space model"],
  ["rnn", "recurrent network"],
  ["lru", "linear recurrent unit"],
  ["fft", "fourier transform"],
  ["mqar", "associative recall"],
  ["s6", "selective scan"],
];
