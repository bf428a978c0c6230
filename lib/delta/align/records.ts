import type { Alignments } from './alignment.ts';
import { border, differingBytes, type Sides } from './compare.ts';
import type { Draft } from './alignmentlist.ts';

/**
 * Executables hold tables of records: relocations, symbols, pointers. Where records have come or gone, a target's table
 * still resembles the source's at any distance that is off by some records, for most bytes of a record are those of
 * all; seeds even prefer the distance at which absolute addresses agree. At the right one fewer bytes differ, and by
 * the same amount from record to record.
 */

/** What is judged as one, in bytes. */
const BLOCK = 1024;
/** Shorter alignments are no tables. */
const MIN_LENGTH = 256;
/** Blocks with fewer differing bytes are in phase. */
const MIN_DIFFERING = BLOCK / 16;
/** What another distance has to gain, in equal bytes of a block; what is good for the block before needs less. */
const MIN_GAIN = 40;
const MIN_GAIN_AS_BEFORE = 16;
/** Distances that are tried: so many bytes off to either side, in steps of the smallest record. */
const MAX_SHIFT = 512;
const STEP = 8;
/** So many bytes of a block tell whether a distance is worth counting in the whole block. */
const PROBE = 128;

/** Writes to `out` the alignments with those that run out of phase split where another distance nearby is better. */
export function rephased(sides: Sides, items: Alignments, out: Draft): Draft {
  out.clear();
  for (let i = 0; i < items.count; i++) {
    const start = items.target[i]!;
    const end = start + items.length[i]!;
    let begin = start;
    let distance = items.source[i]! - start;
    const found = distance;
    const judged = end - start < MIN_LENGTH ? start : end;
    for (let at = start; at < judged; at += BLOCK) {
      const size = Math.min(BLOCK, end - at);
      const next = distanceFor(sides, at, size, found, distance);
      if (next === distance) continue;
      const low = Math.max(begin, at - BLOCK, -next);
      const change = border(sides.source, sides.target, distance, next, low, at + size);
      out.push(begin, begin + distance, change - begin, 0);
      begin = change;
      distance = next;
    }
    out.push(begin, begin + distance, end - begin, 0);
  }
  return out;
}

/** @param before the distance of the block before */
function distanceFor(sides: Sides, at: number, size: number, found: number, before: number): number {
  let least = differing(sides, at, size, found, size);
  if (least < MIN_DIFFERING) return found;
  let best = found;
  if (before !== found) {
    const count = differing(sides, at, size, before, least - MIN_GAIN_AS_BEFORE);
    if (count < MIN_DIFFERING) return before;
    if (count < least - MIN_GAIN_AS_BEFORE) {
      least = count;
      best = before;
    }
  }
  let limit = least - MIN_GAIN;
  const probed = Math.min(PROBE, size);
  for (let shift = STEP; shift <= MAX_SHIFT && limit > 0; shift += STEP) {
    const hopeless = PROBE / 16 + Math.floor((1.5 * PROBE * limit) / size);
    for (let side = -1; side <= 1; side += 2) {
      const distance = before + side * shift;
      if (differing(sides, at, probed, distance, hopeless) >= hopeless) continue;
      const count = differing(sides, at, size, distance, limit);
      if (count >= limit) continue;
      limit = count;
      best = distance;
    }
  }
  return best;
}

/** How many bytes differ at a distance; `limit` where there are as many or more, or where the source ends. */
function differing(
  { sourceView, targetView }: Sides,
  at: number,
  size: number,
  distance: number,
  limit: number,
): number {
  const from = at + distance;
  if (from < 0 || from + size > sourceView.byteLength) return limit;
  return differingBytes(sourceView, from, targetView, at, size, limit);
}
