// Evaluate an explorer's exported mathematics for the tests: node evaluate.mjs <module> <calls as JSON on standard input.
// Arrays of numbers go in and out as Float64Array; numbers that JSON has no word for come out as strings.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { math } = await import(pathToFileURL(process.argv[2]));

const typed = (value) => {
  if (Array.isArray(value)) return Float64Array.from(value);
  if (value && typeof value === "object" && "uniforms" in value) return math.uniforms(value.uniforms);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, typed(inner)]));
  return value;
};
const plain = (_, value) => {
  if (value instanceof Float64Array) return Array.from(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};

const calls = JSON.parse(readFileSync(0, "utf8"));
const results = calls.map(([name, ...values]) => {
  if (name !== "draw") return math[name](...values.map(typed));
  const next = math.uniforms(values[0]);
  return Float64Array.from({ length: values[1] }, next);
});
process.stdout.write(JSON.stringify(results, plain));
