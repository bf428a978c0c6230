/** Kinds of words that refer to addresses (docs/formats.md). */

export const CALL = 0;
export const JUMP = 1;
export const RELATIVE = 2;
export const IMMEDIATE = 3;
export const WORD = 4;
export const TO_SELF = 5;
export const TO_SECTION = 6;
export const TABLE = 7;
export const BACK = 8;
/** Of arm64: a page, and an offset in it. */
export const PAGE = 9;
export const LOW = 10;
export const OPERAND_KINDS = 11;
