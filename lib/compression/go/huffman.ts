import { reversedCode } from '../bits.ts';

/**
 * Huffman codes like those of Go's compress/flate and klauspost/compress: an optimal length-limited code by the
 * boundary package-merge of Katajainen, Moffat and Turpin. Symbols of lower frequency get longer codes; among equals,
 * those of lower value.
 */

const MAX_BITS = 16;
const ROW = MAX_BITS + 1;
const NEVER = 0x7fffffff;

/**
 * @param codes is filled with a code for each symbol that occurs, and 0 for others
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
 * The number of codes of each length.
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
  /** At `level * ROW + j`: number of leaves left of the ancestor at level j of the rightmost node at `level`. */
  const leaves = new Int32Array(ROW * ROW);
  for (let level = 1; level <= maxBits; level++) leaves[level * ROW + level] = 2;
  nextPair[1] = NEVER;
  needed[maxBits] = 2 * n - 4;
  for (let level = maxBits; ;) {
    if (nextPair[level] === NEVER && nextLeaf[level] === NEVER) {
      // without leaves and pairs this level is complete
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
