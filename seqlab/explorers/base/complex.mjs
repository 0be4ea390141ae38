// Sets of complex numbers, {re, im}: two Float64Arrays.

export const complex = (size) => ({ re: new Float64Array(size), im: new Float64Array(size) });
export const fromPairs = (pairs) => ({ re: Float64Array.from(pairs, ([x]) => x), im: Float64Array.from(pairs, ([, y]) => y) });
export const toPairs = ({ re, im }) => Array.from(re, (x, n) => [x, im[n]]);
export const fromFormula = (size, re, im) => ({ re: Float64Array.from({ length: size }, (_, n) => re(n)), im: Float64Array.from({ length: size }, (_, n) => im(n)) });
export const joined = ({ re, im }, x, y) => ({ re: Float64Array.of(...re, x), im: Float64Array.of(...im, y) });
export function without({ re, im }, n) {
  const others = (_, k) => k !== n;
  return { re: re.filter(others), im: im.filter(others) };
}
