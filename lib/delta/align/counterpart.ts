import { firstEndingAfter } from './alignmentlist.ts';
import { groupByDigest, sameDigest, type Groups } from './groups.ts';
import type { DigestedListing, Listing } from './listing.ts';

/** For each piece of the target, the piece of the source that it most likely comes from. */
export interface Counterparts {
  /** Source piece, or -1. */
  readonly piece: Int32Array;
  /** 1 where the bodies are identical. */
  readonly same: Uint8Array;
  /** 1 where the heads are identical. */
  readonly sameHead: Uint8Array;
}

/**
 * Pairs pieces: first by identical bodies (preferably the successor of the previous piece's counterpart, so that runs
 * stay whole, then the one at the same path), then by path, then by name.
 */
export function findCounterparts(
  source: DigestedListing,
  target: DigestedListing,
  usable?: Float64Array,
): Counterparts {
  const allowed = (i: number) => isUsable(usable, source.body[i]!);
  const byDigest = groupByDigest(source.bodyDigest, allowed);
  const byPath = groupByDigest(source.pathDigest, allowed);
  const byName = groupByDigest(source.nameDigest, allowed);
  const piece = new Int32Array(target.count);
  const same = new Uint8Array(target.count);
  const sameHead = new Uint8Array(target.count);

  const isIdentical = (i: number, j: number) => sameDigest(target.bodyDigest, i, source.bodyDigest, j);

  function identicalAtPath(i: number): number {
    let j = byPath.first(target.pathDigest, i);
    while (j >= 0 && !isIdentical(i, j)) j = byPath.next(j);
    return j;
  }

  let before = -1;
  for (let i = 0; i < target.count; i++) {
    const size = target.start[i + 1]! - target.body[i]!;
    const identical = size === 0 ? -1 : byDigest.first(target.bodyDigest, i);
    let found: number;
    if (identical >= 0) {
      const next = before + 1;
      if (next < source.count && isIdentical(i, next) && allowed(next)) found = next;
      else found = identicalAtPath(i);
      if (found < 0) found = identical;
      same[i] = 1;
    } else {
      const atPath = byPath.first(target.pathDigest, i);
      found =
        atPath >= 0
          ? closest(source, byPath, atPath, size)
          : closest(source, byName, byName.first(target.nameDigest, i), size);
      same[i] = size === 0 ? 1 : 0;
    }
    piece[i] = found;
    if (found >= 0 && sameDigest(target.headDigest, i, source.headDigest, found)) sameHead[i] = 1;
    before = found;
  }
  return { piece, same, sameHead };
}

/** The piece of a group, from `first` on, with the nearest body size, or -1. */
function closest(source: Listing, groups: Groups, first: number, size: number): number {
  let best = -1;
  let bestGap = Infinity;
  for (let j = first; j >= 0; j = groups.next(j)) {
    const gap = Math.abs(source.start[j + 1]! - source.body[j]! - size);
    if (gap < bestGap) {
      bestGap = gap;
      best = j;
    }
  }
  return best;
}

/** Whether a source offset lies in ranges [start, end, start, end, …], ascending; true without ranges. */
export function isUsable(ranges: Float64Array | undefined, offset: number): boolean {
  if (ranges === undefined) return true;
  const k = firstEndingAfter(ranges, offset);
  return k < ranges.length && ranges[k]! <= offset;
}
