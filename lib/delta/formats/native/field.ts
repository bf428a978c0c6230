/** Numbers in instructions for arm64. */

/** Where an instruction has its number: a word as a value with the number in its low bits. */
export interface Field {
  /** Of the number, in bits. */
  readonly width: number;
  readonly isSigned: boolean;
  readonly value: (word: number) => number;
  readonly word: (value: number) => number;
}

/** @param at the lowest bit */
function bitsFrom(at: number, width: number, isSigned: boolean): Field {
  return {
    width,
    isSigned,
    value: (word) => (at === 0 ? word : (word >>> at) | (word << (32 - at))),
    word: (value) => (at === 0 ? value : (value << at) | (value >>> (32 - at))),
  };
}

export const BRANCH = bitsFrom(0, 26, true);
export const NEAR = bitsFrom(5, 19, true);
export const OFFSET = bitsFrom(10, 12, false);
/** Two bits of the number stand apart. */
export const PAGES: Field = {
  width: 21,
  isSigned: true,
  value: (word) =>
    ((word >>> 31) << 31) |
    (((word >>> 24) & 31) << 26) |
    ((word & 31) << 21) |
    (((word >>> 5) & 0x7ffff) << 2) |
    ((word >>> 29) & 3),
  word: (value) =>
    ((value >>> 31) << 31) |
    (((value >>> 26) & 31) << 24) |
    ((value >>> 21) & 31) |
    (((value >>> 2) & 0x7ffff) << 5) |
    ((value & 3) << 29),
};

/**
 * The number of a word whose other bits are those of `like`; for any other word a number out of the field's range, so that
 * each word has its own.
 */
export function numberIn({ width, isSigned, value }: Field, word: number, like: number): number {
  const number = (value(word) - ((value(like) >>> width) << width)) | 0;
  return isSigned && ((number >>> (width - 1)) & 1) === 1 ? (number - 2 ** width) | 0 : number;
}

/** The word of a number: the inverse of `numberIn`. */
export function wordOf({ width, isSigned, value, word }: Field, number: number, like: number): number {
  const unsigned = isSigned && ((number >>> (width - 1)) & 1) === 1 ? (number + 2 ** width) | 0 : number;
  return word((unsigned + ((value(like) >>> width) << width)) | 0);
}

/** The number that stands for an address or a page, as far as the field holds it. */
export function kept({ width, isSigned }: Field, number: number): number {
  return isSigned ? (number << (32 - width)) >> (32 - width) : number & (2 ** width - 1);
}
