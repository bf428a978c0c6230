/** How two buffers compare at a distance; what reaches beyond the source counts as different. */

/** How far a score may fall below its best before an extension gives up. */
const PATIENCE = 4096;

export function commonLength(source: Uint8Array, s: number, target: Uint8Array, t: number): number {
  if (s < 0) return 0;
  const limit = Math.min(source.length - s, target.length - t);
  let length = 0;
  while (length < limit && source[s + length] === target[t + length]) length++;
  return length;
}

export function equalBytes(
  source: Uint8Array,
  s: number,
  target: Uint8Array,
  t: number,
  length: number,
): number {
  let equal = 0;
  const first = Math.max(0, -s);
  const limit = Math.min(length, source.length - s);
  for (let i = first; i < limit; i++) if (source[s + i] === target[t + i]) equal++;
  return equal;
}

/** How far to go forward for the best score of equal minus different bytes. */
export function extension(source: Uint8Array, s: number, target: Uint8Array, t: number, max: number): number {
  const limit = Math.min(source.length - s, target.length - t, max);
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

export function extensionBack(
  source: Uint8Array,
  s: number,
  target: Uint8Array,
  t: number,
  floor: number,
): number {
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
