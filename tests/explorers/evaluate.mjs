// Evaluate what modules export for the tests: a line {modules, calls} as JSON comes in, a line {results} or {error}
// goes out. Arrays of numbers go in and out as Float64Array; numbers that JSON has no word for come out as strings.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const plain = (_, value) => {
  if (value instanceof Float64Array) return Array.from(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};

async function evaluate({ modules, calls }) {
  const math = Object.assign({}, ...(await Promise.all(modules.map((file) => import(pathToFileURL(file))))));
  const typed = (value) => {
    if (Array.isArray(value)) return Float64Array.from(value);
    if (value && typeof value === "object" && "uniforms" in value) return math.uniforms(value.uniforms);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, typed(inner)]));
    return value;
  };
  return calls.map(([name, ...values]) => {
    if (name !== "draw") return math[name](...values.map(typed));
    const next = math.uniforms(values[0]);
    return Float64Array.from({ length: values[1] }, next);
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = JSON.stringify({ results: await evaluate(JSON.parse(line)) }, plain);
  } catch (error) {
    answer = JSON.stringify({ error: error.stack });
  }
  process.stdout.write(`${answer}\n`);
}
