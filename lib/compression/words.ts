/** Text that matches are looked for in, read by words. */

/** Zeros behind a text, so that a word may be read from each of its bytes. */
export const TEXT_MARGIN = 8;

/** How many bytes from `a` and `b` on are the same, at most `most`; words are read of which up to seven bytes lie behind. */
export function commonLength(view: DataView, a: number, b: number, most: number): number {
  let n = 0;
  for (; n < most; n += 4) {
    const difference = view.getInt32(a + n, true) ^ view.getInt32(b + n, true);
    if (difference === 0) continue;
    n += (31 - Math.clz32(difference & -difference)) >> 3;
    break;
  }
  return n < most ? n : most;
}

/** Whether words in memory are as files have them; where not, bytes are put together one by one. */
export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
