/** Comparison of two buffers at a distance. Bytes beyond the end of the source count as different. */

/** How far a score may fall below its best before an extension gives up. */
const PATIENCE = 4096;

/** Two buffers, as bytes and as words. */
export interface Sides {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly sourceView: DataView;
  readonly targetView: DataView;
}

export function sidesOf(source: Uint8Array, target: Uint8Array): Sides {
  return { source, target, sourceView: viewOf(source), targetView: viewOf(target) };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function commonLength(source: DataView, s: number, target: DataView, t: number): number {
  if (s < 0) return 0;
  const limit = Math.min(source.byteLength - s, target.byteLength - t);
  let length = 0;
  for (; length + 4 <= limit; length += 4) {
    const difference = source.getInt32(s + length, true) ^ target.getInt32(t + length, true);
    if (difference !== 0) return length + ((31 - Math.clz32(difference & -difference)) >> 3);
  }
  while (length < limit && source.getUint8(s + length) === target.getUint8(t + length)) length++;
  return length;
}

export function equalBytes(source: DataView, s: number, target: DataView, t: number, length: number): number {
  const first = Math.max(0, -s);
  const limit = Math.min(length, source.byteLength - s);
  if (limit <= first) return 0;
  return limit - first - differingBytes(source, s + first, target, t + first, limit - first, Infinity);
}

/**
 * Number of differing bytes among `size`, at most `limit`.
 *
 * Each nonzero byte of a word's difference sets its highest bit, by itself or by the carry of its other bits.
 */
export function differingBytes(
  source: DataView,
  s: number,
  target: DataView,
  t: number,
  size: number,
  limit: number,
): number {
  let count = 0;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const difference = source.getInt32(s + i, true) ^ target.getInt32(t + i, true);
    if (difference === 0) continue;
    const marks = ((((difference & 0x7f7f7f7f) + 0x7f7f7f7f) | difference) >>> 7) & 0x01010101;
    count += Math.imul(marks, 0x01010101) >>> 24;
    if (count >= limit) return limit;
  }
  for (; i < size; i++) {
    if (source.getUint8(s + i) !== target.getUint8(t + i) && ++count >= limit) return limit;
  }
  return count;
}

/** How far to go forward for the best score of equal minus different bytes. */
export function extension(source: DataView, s: number, target: DataView, t: number, max: number): number {
  const limit = Math.min(source.byteLength - s, target.byteLength - t, max);
  let score = 0;
  let best = 0;
  let length = 0;
  for (let i = 0; i < limit;) {
    if (i + 4 <= limit && source.getInt32(s + i, true) === target.getInt32(t + i, true)) {
      score += 4;
      i += 4;
    } else {
      score += source.getUint8(s + i) === target.getUint8(t + i) ? 1 : -1;
      i++;
    }
    if (score > best) {
      best = score;
      length = i;
    } else if (score < best - PATIENCE) break;
  }
  return length;
}

export function extensionBack(
  source: DataView,
  s: number,
  target: DataView,
  t: number,
  floor: number,
): number {
  const limit = Math.min(s, t - floor);
  let score = 0;
  let best = 0;
  let length = 0;
  for (let i = 0; i < limit;) {
    if (i + 4 <= limit && source.getInt32(s - i - 4, true) === target.getInt32(t - i - 4, true)) {
      score += 4;
      i += 4;
    } else {
      i++;
      score += source.getUint8(s - i) === target.getUint8(t - i) ? 1 : -1;
    }
    if (score > best) {
      best = score;
      length = i;
    } else if (score < best - PATIENCE) break;
  }
  return length;
}

/** Where in target[start, end) to change from one distance to the other, for the most equal bytes. */
export function border(
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
