/** Size of coded symbols, in bits. */
export function bitLength(frequencies: ArrayLike<number>, count: number, codes: Int32Array): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += frequencies[i]! * (codes[i]! >>> 16);
  return total;
}
