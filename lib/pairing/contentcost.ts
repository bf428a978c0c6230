import type { Costs } from '../delta/costs.ts';

/** Compressed size of a file, as a share of its size, from which on it counts as already compressed. */
const DENSE = 0.8;

/** Bytes per compressed byte of new content. Content that hardly compresses does not compress better in a patch. */
function mostOf(size: number, compressed: number, { coded }: Costs): number {
  const dense = Math.max(0, (compressed / Math.max(size, 1) - DENSE) / (1 - DENSE));
  return coded + (1 - coded) * dense;
}

/** Predicted bytes of a content with too few samples in a patch. */
export function smallCost(size: number, compressed: number, hasCounterpart: boolean, costs: Costs): number {
  return costs.file + compressed * (hasCounterpart ? costs.small : mostOf(size, compressed, costs));
}

/** Predicted bytes of a content with samples in a patch. The formula is in docs/pairing.md. */
export function sampledCost(size: number, compressed: number, similarity: number, costs: Costs): number {
  const { file, slope, power, spread } = costs;
  if (compressed === 0) return file;
  const most = mostOf(size, compressed, costs);
  const quantity = slope * (-Math.log(similarity)) ** power * (size / compressed) ** spread;
  return file + compressed * most * (1 - Math.exp(-quantity / most));
}
