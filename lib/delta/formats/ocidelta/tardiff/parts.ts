import type { Alignments } from '../../../align/alignment.ts';
import { firstEndingAfter } from './operations.ts';

/**
 * Bytes for zstd that make a part. Parts are compressed each as a frame of its own, so that a large layer keeps
 * several cores busy; at twice the window and more that costs a few tenths of a percent.
 */
const PART_SIZE = 32 * 1024 ** 2;

export interface Part {
  readonly start: number;
  readonly end: number;
}

/** Cuts a layer, a range of the target's layer stream, into parts with about the same work for zstd. */
export function cutParts(alignments: Alignments, start: number, end: number): Part[] {
  let total = 0;
  for (const range of compressedRanges(alignments, start, end)) total += range.end - range.start;
  const count = Math.max(1, Math.round(total / PART_SIZE));
  const cuts = [start];
  let done = 0;
  for (const range of compressedRanges(alignments, start, end)) {
    const size = range.end - range.start;
    for (let next = (total * cuts.length) / count; cuts.length < count && next <= done + size;) {
      cuts.push(range.start + Math.floor(next - done));
      next = (total * cuts.length) / count;
    }
    done += size;
  }
  return cuts.map((cut, i) => ({ start: cut, end: cuts[i + 1] ?? end }));
}

/** The ranges that do not become a COPY. */
function* compressedRanges(alignments: Alignments, start: number, end: number): Generator<Part, void, void> {
  let at = start;
  for (let i = firstEndingAfter(alignments, start); i < alignments.count; i++) {
    if (alignments.exact[i] === 0) continue;
    const from = alignments.target[i]!;
    if (from >= end) break;
    if (from > at) yield { start: at, end: from };
    at = from + alignments.length[i]!;
  }
  if (at < end) yield { start: at, end };
}
