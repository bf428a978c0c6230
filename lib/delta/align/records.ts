import type { Alignments } from './alignment.ts';
import { border, differingBytes, type Sides } from './compare.ts';
import type { AlignmentBuilder } from './alignmentlist.ts';

/**
 * Executables hold tables of records: relocations, symbols, pointers. After records were inserted or removed, a table
 * still resembles the source's at a distance that is wrong by some records, because most bytes of records are equal;
 * seeds even prefer the distance at which absolute addresses agree. At the right distance fewer bytes differ, and by
 * the same amount in each record.
 */

/** Size of the blocks that are compared, in bytes. */
const BLOCK = 1024;
/** Shorter alignments are not taken for tables. */
const MIN_LENGTH = 256;
/** Blocks with fewer differing bytes are in phase. */
const MIN_DIFFERING = BLOCK / 16;
/** Equal bytes that another distance has to gain in a block; the distance of the block before needs fewer. */
const MIN_GAIN = 40;
const MIN_GAIN_AS_BEFORE = 16;
/** Distances that are tried: up to this many bytes to either side, in steps of the smallest record. */
const MAX_SHIFT = 512;
const STEP = 8;
/** Bytes of a block that are compared first: only promising distances are counted in the whole block. */
const PROBE = 128;

/** Writes the alignments to `out`, split where another distance nearby fits better. */
export function rephased(sides: Sides, items: Alignments, out: AlignmentBuilder): AlignmentBuilder {
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

/** Number of differing bytes at a distance, at most `limit`; `limit` also where the source ends. */
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
