/** The symbols of DEFLATE (RFC 1951, section 3.2.5), and tokens: literals and matches before they are coded. */

/** Number of codes for literals, the end of a block and lengths. */
export const LITERAL_COUNT = 286;
export const OFFSET_COUNT = 30;
export const END_OF_BLOCK = 256;
/** Number of codes for code lengths (section 3.2.7). */
export const RUN_COUNT = 19;
/** For codes from 16 on, which stand for runs: extra bits, and the shortest run. */
export const RUN_EXTRA_BITS = [2, 3, 7];
export const RUN_LEAST = [3, 3, 11];
/** The order in which the lengths of these codes are written. */
export const RUN_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
export const MAX_STORED = 65535;
export const MAX_MATCH = 258;
export const WINDOW_SIZE = 32768;

/** A token is a literal's byte, or for a match this bit, its length - 3 in bits 22 and above, and its offset - 1. */
export const MATCH = 1 << 30;
const LENGTH_SHIFT = 22;
export const OFFSET_MASK = (1 << LENGTH_SHIFT) - 1;

export function matchToken(length: number, offset: number): number {
  return MATCH | ((length - 3) << LENGTH_SHIFT) | (offset - 1);
}

/** Length - 3 of a match. */
export function tokenLength(token: number): number {
  return (token >> LENGTH_SHIFT) & 0xff;
}

/** Extra bits by length code from 257 on. */
export const LENGTH_EXTRA = Uint8Array.of(
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  1,
  1,
  1,
  1,
  2,
  2,
  2,
  2,
  3,
  3,
  3,
  3,
  4,
  4,
  4,
  4,
  5,
  5,
  5,
  5,
  0,
);
export const OFFSET_EXTRA = Uint8Array.of(
  0,
  0,
  0,
  0,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  5,
  6,
  6,
  7,
  7,
  8,
  8,
  9,
  9,
  10,
  10,
  11,
  11,
  12,
  12,
  13,
  13,
);

/** Smallest length - 3, and smallest offset - 1, of a code. */
export const LENGTH_BASE = basesOf(LENGTH_EXTRA);
export const OFFSET_BASE = basesOf(OFFSET_EXTRA);
// length 258 has its own code
LENGTH_BASE[28] = 255;

/** Code - 257 by length - 3. */
export const LENGTH_CODE = codesOf(LENGTH_BASE, 256);

/** Indexed by offset - 1 below 256, then from 256 on by (offset - 1) >> 7. */
const OFFSET_CODE = offsetCodes();

export function offsetCode(offsetMinus1: number): number {
  return offsetMinus1 < 256 ? OFFSET_CODE[offsetMinus1]! : OFFSET_CODE[256 + (offsetMinus1 >> 7)]!;
}

function basesOf(extra: Uint8Array): Uint16Array {
  const bases = new Uint16Array(extra.length);
  for (let i = 1; i < bases.length; i++) bases[i] = bases[i - 1]! + (1 << extra[i - 1]!);
  return bases;
}

function codesOf(bases: Uint16Array, count: number): Uint8Array {
  const codes = new Uint8Array(count);
  for (let i = 0, code = 0; i < count; i++) {
    while (code + 1 < bases.length && bases[code + 1]! <= i) code++;
    codes[i] = code;
  }
  return codes;
}

function offsetCodes(): Uint8Array {
  const all = codesOf(OFFSET_BASE, WINDOW_SIZE);
  return Uint8Array.from({ length: 512 }, (_, i) => (i < 256 ? all[i]! : all[(i - 256) << 7]!));
}

/** The number of extra bits, which are not part of codes. */
export function extraBits(literals: Int32Array, offsets: Int32Array): number {
  let total = 0;
  for (let i = 257; i < LITERAL_COUNT; i++) total += literals[i]! * LENGTH_EXTRA[i - 257]!;
  for (let i = 0; i < OFFSET_COUNT; i++) total += offsets[i]! * OFFSET_EXTRA[i]!;
  return total;
}
