/** Reads words of a text, for match finders. */

/** Zeros after a text, so that a word can be read at each of its bytes. */
export const TEXT_MARGIN = 8;

/** Number of equal bytes at `a` and `b`, at most `most`. May read seven bytes beyond. */
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

/** Whether this machine is little-endian; if not, words are read byte by byte. */
export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
