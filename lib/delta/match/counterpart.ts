import { firstEndingAfter } from './draft.ts';
import type { Listing } from './listing.ts';

/** For each piece of the target the piece of the source that it most likely comes from. */
export interface Counterparts {
  /** Source piece, or -1. */
  readonly piece: Int32Array;
  /** 1 where the bodies are identical. */
  readonly same: Uint8Array;
}

/**
 * Pairs pieces: an identical body first (best the one that goes on where the piece before came from, so
 * that runs stay whole, then one at the same path), then the same path, then the same name.
 */
export function findCounterparts(source: Listing, target: Listing, usable?: Float64Array): Counterparts {
  const allowed = (i: number) => isUsable(usable, source.body[i]!);
  const byDigest = grouped(source, allowed, (i) => source.bodyDigest[i]!);
  const byPath = grouped(source, allowed, (i) => source.path[i]!);
  const byName = grouped(source, allowed, (i) => familyName(source.path[i]!));
  const piece = new Int32Array(target.count).fill(-1);
  const same = new Uint8Array(target.count);
  let before = -1;
  for (let i = 0; i < target.count; i++) {
    const path = target.path[i]!;
    const digest = target.bodyDigest[i]!;
    const identical = digest === '' ? undefined : byDigest.get(digest);
    if (identical) {
      piece[i] =
        identical.find((j) => j === before + 1) ??
        identical.find((j) => source.path[j] === path) ??
        identical[0]!;
      same[i] = 1;
    } else {
      const candidates = byPath.get(path) ?? byName.get(familyName(path)) ?? [];
      piece[i] = closest(source, candidates, target.start[i + 1]! - target.body[i]!);
      same[i] = digest === '' ? 1 : 0;
    }
    before = piece[i]!;
  }
  return { piece, same };
}

function grouped(
  listing: Listing,
  allowed: (i: number) => boolean,
  key: (i: number) => string,
): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (let i = 0; i < listing.count; i++) {
    if (!allowed(i)) continue;
    const name = key(i);
    const group = groups.get(name);
    if (group) group.push(i);
    else groups.set(name, [i]);
  }
  return groups;
}

/** The candidate whose body size is nearest, or -1. */
function closest(source: Listing, candidates: readonly number[], size: number): number {
  let best = -1;
  let bestGap = Infinity;
  for (const j of candidates) {
    const gap = Math.abs(source.start[j + 1]! - source.body[j]! - size);
    if (gap < bestGap) {
      bestGap = gap;
      best = j;
    }
  }
  return best;
}

/** The last component of a path with its version numbers taken out: libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
function familyName(path: string): string {
  const name = path.slice(path.lastIndexOf('/', path.length - 2) + 1);
  return name.replace(/\d+/g, '0');
}

/** Whether a source offset may be copied from: [start, end, start, end, …], ascending; all may where none are given. */
export function isUsable(ranges: Float64Array | undefined, offset: number): boolean {
  if (ranges === undefined) return true;
  const k = firstEndingAfter(ranges, offset);
  return k < ranges.length && ranges[k]! <= offset;
}
