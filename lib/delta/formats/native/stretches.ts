import type { Alignments } from '../../align/alignment.ts';
import type { FileStretch } from './addressmap.ts';
import type { FilePair } from './batch.ts';

/** Index of the first of some ascending stretches that ends behind an offset. */
export function firstEndingAfter(starts: Float64Array, lengths: Float64Array, offset: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! + lengths[middle]! > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The stretches that operations align in a pair of executables. */
export function* stretchesOf(
  pair: FilePair,
  { count, source, target, length }: Alignments,
): Generator<FileStretch, void> {
  for (let i = firstEndingAfter(target, length, pair.target); i < count; i++) {
    if (target[i]! >= pair.target + pair.size) break;
    const from = Math.max(source[i]!, pair.source);
    const to = Math.min(source[i]! + length[i]!, pair.source + pair.sourceSize);
    if (from >= to) continue;
    yield {
      source: from - pair.source,
      target: target[i]! + (from - source[i]!) - pair.target,
      length: to - from,
    };
  }
}
