import { reversedCode } from '../bits.ts';

/**
 * Codes as Go's compress/flate makes them, and klauspost/compress after it: lengths of an optimal code of limited
 * length by Katajainen, Moffat and Turpin's boundary package-merge, symbols of lower frequency and, among equals, of lower value
 * longer first.
 */

const MAX_BITS = 16;
const ROW = MAX_BITS + 1;
const NEVER = 0x7fffffff;

/**
 * @param codes gets a code for each symbol that occurs, and 0 for the others
 */
export function generateCodes(
  frequencies: ArrayLike<number>,
  count: number,
  maxBits: number,
  codes: Int32Array,
): void {
  const symbols: number[] = [];
  for (let i = 0; i < count; i++) {
    codes[i] = 0;
    if (frequencies[i]! !== 0) symbols.push(i);
  }
  if (symbols.length <= 2) {
    for (const [i, symbol] of symbols.entries()) codes[symbol] = reversedCode(i, 1);
    return;
  }
  symbols.sort((a, b) => frequencies[a]! - frequencies[b]! || a - b);
  const bitCounts = countBits(
    symbols.map((symbol) => frequencies[symbol]!),
    maxBits,
  );
  let code = 0;
  let end = symbols.length;
  for (let length = 1; length < bitCounts.length; length++) {
    code <<= 1;
    const group = symbols.slice(end - bitCounts[length]!, end).sort((a, b) => a - b);
    for (const symbol of group) codes[symbol] = reversedCode(code++, length);
    end -= bitCounts[length]!;
  }
}

/**
 * How many symbols get a code of each length.
 *
 * @param frequencies ascending, three or more
 */
function countBits(frequencies: readonly number[], limit: number): number[] {
  const n = frequencies.length;
  const maxBits = Math.min(limit, n - 1);
  const lastFrequency = new Float64Array(ROW).fill(frequencies[1]!);
  const nextLeaf = new Float64Array(ROW).fill(frequencies[2]!);
  const nextPair = new Float64Array(ROW).fill(frequencies[0]! + frequencies[1]!);
  const needed = new Int32Array(ROW);
  /** At `level * ROW + j`: leaves left of the ancestor at level j of the rightmost node at `level`. */
  const leaves = new Int32Array(ROW * ROW);
  for (let level = 1; level <= maxBits; level++) leaves[level * ROW + level] = 2;
  nextPair[1] = NEVER;
  needed[maxBits] = 2 * n - 4;
  for (let level = maxBits; ;) {
    if (nextPair[level] === NEVER && nextLeaf[level] === NEVER) {
      // no leaves and no pairs any more: this level is never come back to
      needed[level] = 0;
      nextPair[level + 1] = NEVER;
      level++;
      continue;
    }
    const previous = lastFrequency[level]!;
    if (nextLeaf[level]! < nextPair[level]!) {
      const taken = leaves[level * ROW + level]! + 1;
      lastFrequency[level] = nextLeaf[level]!;
      leaves[level * ROW + level] = taken;
      nextLeaf[level] = frequencies[taken] ?? NEVER;
    } else {
      lastFrequency[level] = nextPair[level]!;
      for (let j = level * ROW; j < level * ROW + level; j++) leaves[j] = leaves[j - ROW]!;
      needed[level - 1] = 2;
    }
    needed[level]!--;
    if (needed[level] === 0) {
      if (level === maxBits) break;
      nextPair[level + 1] = previous + lastFrequency[level]!;
      level++;
    } else {
      while (needed[level - 1]! > 0) level--;
    }
  }
  const counts = [0];
  const top = maxBits * ROW;
  for (let level = maxBits; level > 0; level--) counts.push(leaves[top + level]! - leaves[top + level - 1]!);
  return counts;
}

export function bitLength(frequencies: ArrayLike<number>, count: number, codes: Int32Array): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += frequencies[i]! * (codes[i]! >>> 16);
  return total;
}
