import { hashAt, indexBlocks, leavingFactor, rolled, slotOf } from './blockindex.ts';
import { Draft } from './draft.ts';

/** How far a score may fall below its best before an extension gives up. */
const PATIENCE = 48;
const MAX_CHAIN = 12;

/** Aligns two buffers: seeds from an index of the source's blocks, each extended over single differences. */
export function alignBuffers(source: Uint8Array, target: Uint8Array): Draft {
  const window = source.length > 1 << 22 ? 32 : 16;
  const step = source.length > 1 << 22 ? 16 : 4;
  const index = indexBlocks(source, window, step);
  const factor = leavingFactor(window);
  const out = new Draft();
  let t = 0;
  let hash = 0;
  let rolling = false;
  while (t + window <= target.length) {
    if (rolling) hash = rolled(hash, target[t - 1]!, target[t + window - 1]!, factor);
    else hash = hashAt(target, t, window);
    rolling = true;
    let bestLength = window - 1;
    let bestSource = -1;
    let block = index.head[slotOf(hash, index.shift)]!;
    for (let tries = 0; block !== 0 && tries < MAX_CHAIN; tries++) {
      const s = (block - 1) * step;
      const length = commonLength(source, s, target, t);
      if (length > bestLength) {
        bestLength = length;
        bestSource = s;
      }
      block = index.next[block - 1]!;
    }
    if (bestSource < 0) {
      t++;
      continue;
    }
    t = place(source, target, bestSource, t, bestLength, out);
    rolling = false;
  }
  return out;
}

function commonLength(source: Uint8Array, s: number, target: Uint8Array, t: number): number {
  const limit = Math.min(source.length - s, target.length - t);
  let length = 0;
  while (length < limit && source[s + length] === target[t + length]) length++;
  return length;
}

/** Extends a seed both ways, settles the border with the item before, and returns the target offset behind. */
function place(
  source: Uint8Array,
  target: Uint8Array,
  s: number,
  t: number,
  length: number,
  out: Draft,
): number {
  const end = t + length + extension(source, s + length, target, t + length);
  const last = out.count - 1;
  const floor = last < 0 ? 0 : out.target[last]!;
  let start = t - extensionBack(source, s, target, t, floor);
  if (last >= 0) {
    const lastEnd = floor + out.length[last]!;
    if (start < lastEnd) {
      start = border(source, target, out.source[last]! - floor, s - t, start, Math.min(lastEnd, end));
      out.length[last] = start - floor;
    }
    if (out.length[last] === 0) out.count--;
  }
  out.push(start, start + s - t, end - start, 0);
  return end;
}

/** How far to go forward for the best score of equal minus different bytes. */
function extension(source: Uint8Array, s: number, target: Uint8Array, t: number): number {
  const limit = Math.min(source.length - s, target.length - t);
  let score = 0;
  let best = 0;
  let length = 0;
  for (let i = 0; i < limit; i++) {
    score += source[s + i] === target[t + i] ? 1 : -1;
    if (score > best) {
      best = score;
      length = i + 1;
    } else if (score < best - PATIENCE) break;
  }
  return length;
}

function extensionBack(source: Uint8Array, s: number, target: Uint8Array, t: number, floor: number): number {
  const limit = Math.min(s, t - floor);
  let score = 0;
  let best = 0;
  let length = 0;
  for (let i = 1; i <= limit; i++) {
    score += source[s - i] === target[t - i] ? 1 : -1;
    if (score > best) {
      best = score;
      length = i;
    } else if (score < best - PATIENCE) break;
  }
  return length;
}

/** Where in target[start, end) to change from one distance to the other, for the most equal bytes. */
function border(
  source: Uint8Array,
  target: Uint8Array,
  before: number,
  after: number,
  start: number,
  end: number,
): number {
  let score = 0;
  let best = 0;
  let at = start;
  for (let t = start; t < end; t++) {
    const byte = target[t];
    if (source[t + before] === byte) score++;
    if (source[t + after] === byte) score--;
    if (score > best) {
      best = score;
      at = t + 1;
    }
  }
  return at;
}
