// Words for numbers.

export const raised = (exponent) => [...String(exponent)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(c)]).join("");

export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "∞";
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${Number(mantissa) === 1 ? "" : `${mantissa}·`}10${raised(Number(exponent))}`;
  }
  return String(Number(value.toPrecision(digits)));
}
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export const minus = (text) => String(text).replace("-", "−");
export const signed = (value, digits = 3) => minus(number(Math.abs(value) < 1e-12 ? 0 : value, digits));
export const complexText = (x, y) => (Math.abs(y) < 1e-12 ? signed(x) : `${signed(x)} ${y < 0 ? "−" : "+"} ${number(Math.abs(y))} i`);
