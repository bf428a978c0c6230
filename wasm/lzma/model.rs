//! The layout of LZMA's adaptive probabilities in one array, and the states (LZMA SDK, "LZMA specification"; names as
//! there).

pub const STATES: usize = 12;
/// Lower states follow a literal.
pub const LITERAL_STATES: u32 = 7;
const MAX_POSITION_STATES: usize = 16;
pub const LENGTH_STATES: u32 = 4;
pub const MIN_MATCH: u32 = 2;
pub const MAX_MATCH: u32 = 273;
pub const ALIGN_BITS: u32 = 4;
/// First distance slot with bits of fixed probability.
pub const FIRST_DIRECT_SLOT: u32 = 14;

pub const PROBABILITY_BITS: u32 = 11;
pub const TOTAL: u32 = 1 << PROBABILITY_BITS;
pub const HALF: u16 = (TOTAL / 2) as u16;
pub const RATE: u32 = 5;
/// The range is at least this much before each bit.
pub const TOP: u32 = 1 << 24;

/// A length coder: two choices, then trees of 8 low and 8 middle lengths per position state, and of 256 high lengths.
pub const LENGTH_LOW: usize = 2;
pub const LENGTH_MIDDLE: usize = LENGTH_LOW + MAX_POSITION_STATES * 8;
pub const LENGTH_HIGH: usize = LENGTH_MIDDLE + MAX_POSITION_STATES * 8;
const LENGTH_SIZE: usize = LENGTH_HIGH + 256;

pub const IS_MATCH: usize = 0;
pub const IS_REP: usize = IS_MATCH + STATES * MAX_POSITION_STATES;
pub const IS_REP0: usize = IS_REP + STATES;
pub const IS_REP1: usize = IS_REP0 + STATES;
pub const IS_REP2: usize = IS_REP1 + STATES;
pub const IS_REP0_LONG: usize = IS_REP2 + STATES;
pub const SLOT: usize = IS_REP0_LONG + STATES * MAX_POSITION_STATES;
/// Trees of the low bits of slots 4 to 13; the tree of a slot starts at SPECIAL + base - slot.
pub const SPECIAL: usize = SLOT + LENGTH_STATES as usize * 64;
pub const ALIGN: usize = SPECIAL + 128;
pub const MATCH_LENGTH: usize = ALIGN + (1 << ALIGN_BITS);
pub const REP_LENGTH: usize = MATCH_LENGTH + LENGTH_SIZE;
pub const LITERAL: usize = REP_LENGTH + LENGTH_SIZE;
/// Number of probabilities for any properties that LZMA2 allows.
pub const PROBABILITIES: usize = LITERAL + (0x300 << 4);

#[inline(always)]
pub fn is_match(state: u32, position_state: u32) -> usize {
    IS_MATCH + ((state as usize) << 4) + position_state as usize
}

#[inline(always)]
pub fn is_rep0_long(state: u32, position_state: u32) -> usize {
    IS_REP0_LONG + ((state as usize) << 4) + position_state as usize
}

/// Which trees of slots a length has.
#[inline(always)]
pub fn length_state(length: u32) -> u32 {
    (length - MIN_MATCH).min(LENGTH_STATES - 1)
}

/// The next state after a literal, a match, a repeated match and a short repeated match.
#[inline(always)]
pub fn after_literal(state: u32) -> u32 {
    if state < 4 {
        0
    } else if state < 10 {
        state - 3
    } else {
        state - 6
    }
}

#[inline(always)]
pub fn after_match(state: u32) -> u32 {
    if state < LITERAL_STATES { 7 } else { 10 }
}

#[inline(always)]
pub fn after_rep(state: u32) -> u32 {
    if state < LITERAL_STATES { 8 } else { 11 }
}

#[inline(always)]
pub fn after_short_rep(state: u32) -> u32 {
    if state < LITERAL_STATES { 9 } else { 11 }
}

/// Literal context bits, literal position bits, position bits.
#[derive(Clone, Copy)]
pub struct Properties {
    pub lc: u32,
    pub lp: u32,
    pub pb: u32,
}

impl Properties {
    /// Start of the probabilities of a literal.
    #[inline(always)]
    pub fn literal_base(&self, at: u32, previous: u8) -> usize {
        let context = ((at & ((1 << self.lp) - 1)) << self.lc) + (previous as u32 >> (8 - self.lc));
        LITERAL + 0x300 * context as usize
    }

    #[inline(always)]
    pub fn position_state(&self, at: u32) -> u32 {
        at & ((1 << self.pb) - 1)
    }
}
