import type { Alignments } from '../../../../align/alignment.ts';
import { MAX_ADDRESS, MAX_WINDOW } from '../window.ts';

/** A target window and its alignments, cut to the window. */
export interface Cut {
  /** Offset of the window in the target; `size` is its size. */
  readonly start: number;
  readonly size: number;
  /** The range of the source that holds all counterparts; `segmentSize` is 0 without any. */
  readonly segmentOffset: number;
  readonly segmentSize: number;
  readonly alignments: readonly CutAlignment[];
}

export interface CutAlignment {
  /** Offset in the window. */
  readonly at: number;
  readonly size: number;
  /** Offset in the source. */
  readonly source: number;
  readonly exact: boolean;
}

/** Source segment and window share 32 bits of addresses. */
const MAX_SEGMENT = MAX_ADDRESS - MAX_WINDOW;
/** A shorter alignment that is too far away for the segment is dropped; a longer one starts a new window. */
const MIN_FAR = 256;

/** Cuts a target of `targetSize` bytes into windows of at most `maxWindow` bytes, which is at most `MAX_WINDOW`. */
export function* cutWindows(
  targetSize: number,
  alignments: Alignments,
  maxWindow: number,
): Generator<Cut, void> {
  const { count, target, source, length, exact } = alignments;
  let next = 0;
  for (let start = 0; start < targetSize;) {
    const inside: CutAlignment[] = [];
    let end = Math.min(start + maxWindow, targetSize);
    let low = Infinity;
    let high = 0;
    for (; next < count && target[next]! < end; next++) {
      const skipped = Math.max(0, start - target[next]!);
      const from = source[next]! + skipped;
      const size = Math.min(length[next]! - skipped, end - target[next]! - skipped);
      if (Math.max(high, from + size) - Math.min(low, from) > MAX_SEGMENT) {
        if (length[next]! < MIN_FAR) continue;
        end = target[next]!;
        break;
      }
      low = Math.min(low, from);
      high = Math.max(high, from + size);
      inside.push({ at: target[next]! + skipped - start, size, source: from, exact: exact[next] === 1 });
      if (target[next]! + length[next]! > end) break;
    }
    const segment = inside.length > 0 ? { segmentOffset: low, segmentSize: high - low } : NO_SEGMENT;
    yield { start, size: end - start, alignments: inside, ...segment };
    start = end;
  }
}

const NO_SEGMENT = { segmentOffset: 0, segmentSize: 0 };
