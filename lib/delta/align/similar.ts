import type { Space } from '../../runtime/space.ts';
import { pieceAt, type Listing } from './listing.ts';
import { forEachSample, placeOf, type Samples } from './samples.ts';

/** Bytes of target pieces without a counterpart from which on reading the whole source pays. */
const WORTHWHILE = 2 * 1024 ** 2;
/** Shorter pieces are left alone. */
const MIN_PIECE = 8 * 1024;
/** Samples that have to agree: a number, and a share of the piece's samples. */
const MIN_VOTES = 6;
const MIN_SHARE = 0.02;
/** Longest stretch of the source piece that is compared, as a multiple of the target piece. */
const MAX_STRETCH = 4;

/** A stretch of a source piece. */
export interface Similar {
  readonly piece: number;
  /** In the layer stream. */
  readonly start: number;
  readonly end: number;
}

/** Pieces of the target without a counterpart; none where they are too small together to be worth comparing. */
export function unmatchedPieces(target: Listing, counterpart: Int32Array): number[] {
  const unmatched: number[] = [];
  let size = 0;
  for (const [i, piece] of counterpart.entries()) {
    if (piece >= 0 || sizeOf(target, i) < MIN_PIECE) continue;
    unmatched.push(i);
    size += sizeOf(target, i);
  }
  return size < WORTHWHILE ? [] : unmatched;
}

/**
 * Finds, for each wanted target piece, the source piece that shares most content with it. Pieces without any are
 * left out.
 *
 * @param samples of the source
 */
export function findSimilar(
  source: Listing,
  target: Listing & { readonly space: Space },
  wanted: readonly number[],
  samples: Samples,
): Map<number, Similar> {
  const similar = new Map<number, Similar>();
  for (const i of wanted) {
    const votes = new Map<number, number[]>();
    let count = 0;
    forEachSample(target.space, [target.body[i]!, target.start[i + 1]!], (sample) => {
      count++;
      const offset = placeOf(samples, sample);
      if (offset < 0) return;
      const piece = pieceAt(source, offset);
      if (sizeOf(source, piece) < MIN_PIECE) return;
      const offsets = votes.get(piece);
      if (offsets) offsets.push(offset);
      else votes.set(piece, [offset]);
    });
    let best = Math.max(MIN_VOTES, count * MIN_SHARE) - 1;
    for (const [piece, offsets] of votes) {
      if (offsets.length <= best) continue;
      best = offsets.length;
      const [first, last] = bulkOf(offsets);
      const size = sizeOf(target, i);
      similar.set(i, {
        piece,
        start: Math.max(source.body[piece]!, first - size / 2),
        end: Math.min(source.start[piece + 1]!, last + size / 2, first + MAX_STRETCH * size),
      });
    }
  }
  return similar;
}

/** The range of the offsets without the outliers at both ends. */
function bulkOf(offsets: number[]): [number, number] {
  offsets.sort((a, b) => a - b);
  const outliers = Math.floor(offsets.length / 16);
  return [offsets[outliers]!, offsets[offsets.length - 1 - outliers]!];
}

function sizeOf({ start, body }: Listing, i: number): number {
  return start[i + 1]! - body[i]!;
}
