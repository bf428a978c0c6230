/**
 * The adaptive probabilities of LZMA and where each kind lies in one array (LZMA SDK, "LZMA specification";
 * the names are the specification's). Both coders use this layout.
 */
export const STATES = 12;
/** States below this one follow a literal. */
export const LITERAL_STATES = 7;
const MAX_POSITION_STATES = 16;
export const LENGTH_STATES = 4;
export const MIN_MATCH = 2;
export const MAX_MATCH = 273;
export const ALIGN_BITS = 4;
/** Distance slots from here on have bits of a fixed probability. */
export const FIRST_DIRECT_SLOT = 14;

export const PROBABILITY_BITS = 11;
export const HALF = 1 << (PROBABILITY_BITS - 1);

/**
 * A length coder: choice, choice 2, then trees of 8 low and 8 middle lengths per position state and of 256 high ones.
 */
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

/** Literal context bits, literal position bits, position bits. LZMA2 wants lc + lp at most 4. */
export interface Properties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

export const DEFAULT_PROPERTIES: Properties = { lc: 3, lp: 0, pb: 2 };
const MAX_LITERAL_BITS = 4;

/** The byte that stands for them in LZMA2. */
export function encodeProperties({ lc, lp, pb }: Properties): number {
  return (pb * 5 + lp) * 9 + lc;
}

/** Undefined where LZMA2 does not allow them. */
export function decodeProperties(byte: number): Properties | undefined {
  const properties = { lc: byte % 9, lp: Math.floor(byte / 9) % 5, pb: Math.floor(byte / 45) };
  return properties.pb > 4 || properties.lc + properties.lp > MAX_LITERAL_BITS ? undefined : properties;
}

/** Room for the probabilities of any properties that LZMA2 allows. */
export const PROBABILITIES = LITERAL + (0x300 << MAX_LITERAL_BITS);
