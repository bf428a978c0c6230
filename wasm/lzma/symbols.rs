//! Writes LZMA's symbols, and keeps the state, the last four distances and the probabilities.
use super::model::*;
use super::range::RangeEncoder;

/// A step is a literal, a repeated match (0 to 3), or a match (4 + distance - 1).
pub const LITERAL_STEP: i32 = -1;
pub const FIRST_MATCH_STEP: i32 = 4;

#[derive(Clone, Copy)]
pub struct Symbol {
    pub length: u32,
    pub step: i32,
}

/// Distances from 4 on with the same two top bits share a slot.
#[inline(always)]
pub fn slot_of(distance: u32) -> u32 {
    if distance < 4 {
        return distance;
    }
    let top = 31 - distance.leading_zeros();
    2 * top + ((distance >> (top - 1)) & 1)
}

/// All distances are minus one.
#[derive(Clone, Copy)]
pub struct SymbolCoder {
    pub properties: Properties,
    pub state: u32,
    pub reps: [u32; 4],
    pub probabilities: [u16; PROBABILITIES],
}

impl SymbolCoder {
    pub fn reset(&mut self) {
        self.probabilities.fill(HALF);
        self.state = 0;
        self.reps = [0; 4];
    }

    #[inline(always)]
    pub fn probability(&mut self, index: usize) -> *mut u16 {
        unsafe { self.probabilities.as_mut_ptr().add(index) }
    }

    /// Writes the symbol that stands for the bytes at `at`. Both neighbours are 0 outside the text.
    #[inline(always)]
    pub unsafe fn code(&mut self, range: &mut RangeEncoder, text: *const u8, at: u32, symbol: Symbol) {
        if symbol.step == LITERAL_STEP {
            self.literal(range, text, at);
        } else if symbol.step < FIRST_MATCH_STEP {
            self.rep(range, at, symbol.step as usize, symbol.length);
        } else {
            self.match_(range, at, (symbol.step - FIRST_MATCH_STEP) as u32, symbol.length);
        }
    }

    #[inline(always)]
    unsafe fn literal(&mut self, range: &mut RangeEncoder, text: *const u8, at: u32) {
        let (previous, expected) = neighbours(text, at, self.reps[0]);
        range.bit(self.probability(is_match(self.state, self.properties.position_state(at))), 0);
        let base = self.probability(self.properties.literal_base(at, previous));
        let offset = if self.state < LITERAL_STATES { 0 } else { 0x100 };
        range.literal(base, *text.add(at as usize) as u32, offset, expected as u32);
        self.state = after_literal(self.state);
    }

    #[inline(always)]
    unsafe fn match_(&mut self, range: &mut RangeEncoder, at: u32, distance: u32, length: u32) {
        range.bit(self.probability(is_match(self.state, self.properties.position_state(at))), 1);
        range.bit(self.probability(IS_REP + self.state as usize), 0);
        self.length(range, MATCH_LENGTH, at, length);
        let slot = slot_of(distance);
        range.tree(self.probability(SLOT + ((length_state(length) as usize) << 6)), 6, slot);
        if slot >= 4 {
            let bits = (slot >> 1) - 1;
            let base = (2 | (slot & 1)) << bits;
            if slot < FIRST_DIRECT_SLOT {
                range.reverse_tree(self.probability(SPECIAL + (base - slot) as usize), bits, distance - base);
            } else {
                range.direct((distance - base) >> ALIGN_BITS, bits - ALIGN_BITS);
                range.reverse_tree(self.probability(ALIGN), ALIGN_BITS, distance);
            }
        }
        self.reps = [distance, self.reps[0], self.reps[1], self.reps[2]];
        self.state = after_match(self.state);
    }

    /// A match at one of the last four distances. Length 1 is a short repeated match, only at the last distance.
    #[inline(always)]
    unsafe fn rep(&mut self, range: &mut RangeEncoder, at: u32, rep: usize, length: u32) {
        let position_state = self.properties.position_state(at);
        let state = self.state as usize;
        range.bit(self.probability(is_match(self.state, position_state)), 1);
        range.bit(self.probability(IS_REP + state), 1);
        if rep == 0 {
            range.bit(self.probability(IS_REP0 + state), 0);
            range.bit(self.probability(is_rep0_long(self.state, position_state)), (length != 1) as u32);
        } else {
            range.bit(self.probability(IS_REP0 + state), 1);
            range.bit(self.probability(IS_REP1 + state), (rep != 1) as u32);
            if rep > 1 {
                range.bit(self.probability(IS_REP2 + state), rep as u32 - 2);
            }
            to_front(&mut self.reps, rep);
        }
        if length == 1 {
            self.state = after_short_rep(self.state);
        } else {
            self.length(range, REP_LENGTH, at, length);
            self.state = after_rep(self.state);
        }
    }

    #[inline(always)]
    unsafe fn length(&mut self, range: &mut RangeEncoder, coder: usize, at: u32, length: u32) {
        let rest = length - MIN_MATCH;
        let trees = (self.properties.position_state(at) as usize) << 3;
        range.bit(self.probability(coder), (rest >= 8) as u32);
        if rest < 8 {
            range.tree(self.probability(coder + LENGTH_LOW + trees), 3, rest);
            return;
        }
        range.bit(self.probability(coder + 1), (rest >= 16) as u32);
        if rest < 16 {
            range.tree(self.probability(coder + LENGTH_MIDDLE + trees), 3, rest - 8);
        } else {
            range.tree(self.probability(coder + LENGTH_HIGH), 8, rest - 16);
        }
    }
}

/// The byte before `at`, and the one at a distance; 0 before the text.
#[inline(always)]
pub unsafe fn neighbours(text: *const u8, at: u32, distance: u32) -> (u8, u8) {
    let previous = if at > 0 { *text.add(at as usize - 1) } else { 0 };
    let expected = if at > distance { *text.add((at - distance - 1) as usize) } else { 0 };
    (previous, expected)
}

/// Moves one of the last four distances before the others.
#[inline(always)]
pub fn to_front(reps: &mut [u32; 4], rep: usize) {
    let [a, b, c, d] = *reps;
    *reps = match rep {
        0 => return,
        1 => [b, a, c, d],
        2 => [c, a, b, d],
        _ => [d, a, b, c],
    };
}
