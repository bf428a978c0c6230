/**
 * The layout of LZMA's adaptive probabilities in one array, for encoder and decoder (LZMA SDK, "LZMA specification";
 * names as there).
 */
export const STATES = 12;
/** Lower states follow a literal. */
export const LITERAL_STATES = 7;
const MAX_POSITION_STATES = 16;
export const LENGTH_STATES = 4;
export const MIN_MATCH = 2;
export const MAX_MATCH = 273;
export const ALIGN_BITS = 4;
/** First distance slot with bits of fixed probability. */
export const FIRST_DIRECT_SLOT = 14;

export const PROBABILITY_BITS = 11;
export const HALF = 1 << (PROBABILITY_BITS - 1);

/** A length coder: two choices, then trees of 8 low and 8 middle lengths per position state, and of 256 high lengths. */
export const LENGTH_LOW = 2;
export const LENGTH_MIDDLE = LENGTH_LOW + MAX_POSITION_STATES * 8;
export const LENGTH_HIGH = LENGTH_MIDDLE + MAX_POSITION_STATES * 8;
const LENGTH_SIZE = LENGTH_HIGH + 256;

export const IS_MATCH = 0;
export const IS_REP = IS_MATCH + STATES * MAX_POSITION_STATES;
export const IS_REP0 = IS_REP + STATES;
export const IS_REP1 = IS_REP0 + STATES;
export const IS_REP2 = IS_REP1 + STATES;
export const IS_REP0_LONG = IS_REP2 + STATES;
export const SLOT = IS_REP0_LONG + STATES * MAX_POSITION_STATES;
/** Trees of the low bits of slots 4 to 13; the tree of a slot starts at SPECIAL + base - slot. */
export const SPECIAL = SLOT + LENGTH_STATES * 64;
export const ALIGN = SPECIAL + 128;
export const MATCH_LENGTH = ALIGN + (1 << ALIGN_BITS);
export const REP_LENGTH = MATCH_LENGTH + LENGTH_SIZE;
export const LITERAL = REP_LENGTH + LENGTH_SIZE;

/** Literal context bits, literal position bits, position bits. LZMA2 requires lc + lp <= 4. */
export interface Properties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

export const DEFAULT_PROPERTIES: Properties = { lc: 3, lp: 0, pb: 2 };
const MAX_LITERAL_BITS = 4;

/** The properties byte of LZMA2. */
export function encodeProperties({ lc, lp, pb }: Properties): number {
  return (pb * 5 + lp) * 9 + lc;
}

/** @returns undefined for properties that LZMA2 forbids */
export function decodeProperties(byte: number): Properties | undefined {
  const properties = { lc: byte % 9, lp: Math.floor(byte / 9) % 5, pb: Math.floor(byte / 45) };
  return properties.pb > 4 || properties.lc + properties.lp > MAX_LITERAL_BITS ? undefined : properties;
}

/** Number of probabilities for any properties that LZMA2 allows. */
export const PROBABILITIES = LITERAL + (0x300 << MAX_LITERAL_BITS);
