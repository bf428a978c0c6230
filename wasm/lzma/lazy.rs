//! Chooses symbols without prices: the longest match, unless the next byte has a better one (the lazy matching of
//! LZMA's fast mode).
use super::finder::{common_length, Finder, MIN_HASHED};
use super::model::*;
use super::symbols::*;

/// Bytes that are parsed at once.
const SPAN: u32 = 1024;
/// Farther matches of two bytes cost more than literals.
const NEAR: u32 = 128;
/// Beyond these distances, a repeated match is preferred even if it is two or three bytes shorter.
const FAR: u32 = 512;
const VERY_FAR: u32 = 32768;
/// A distance that is smaller by this power of two is worth one byte of length.
const NEARER_BITS: u32 = 7;
const NOWHERE: u32 = u32::MAX;

pub struct LazyParser {
    reps: [u32; 4],
    /// The best match at `found_at`: its length, or 1 for none, and its distance minus one.
    found_at: u32,
    length: u32,
    distance: u32,
}

impl LazyParser {
    pub const fn new() -> LazyParser {
        LazyParser { reps: [0; 4], found_at: NOWHERE, length: 1, distance: 0 }
    }

    /// Drops the match that was found.
    pub fn reset(&mut self) {
        self.found_at = NOWHERE;
    }

    /// Chooses symbols from `start` on, for at least one byte and at most to `end`. Returns their number.
    #[inline(never)]
    pub unsafe fn parse(
        &mut self,
        finder: &mut Finder,
        coder: &SymbolCoder,
        nice_length: u32,
        start: u32,
        end: u32,
        symbols: *mut Symbol,
    ) -> usize {
        self.reps = coder.reps;
        let mut count = 0;
        let mut at = start;
        while at < end && at - start < SPAN {
            if self.found_at != at {
                self.find(finder, at, end);
            }
            let matched = self.length;
            let distance = self.distance;
            let mut rep = 0;
            let mut repeated = 0;
            for i in 0..4 {
                let longer = self.rep_length(finder.text, at, end, i);
                if longer > repeated {
                    repeated = longer;
                    rep = i;
                }
            }
            let mut symbol = Symbol { length: 1, step: LITERAL_STEP };
            if repeated >= MIN_MATCH && is_rep_better(repeated, matched, distance, nice_length) {
                symbol = Symbol { length: repeated, step: rep as i32 };
                to_front(&mut self.reps, rep);
            } else if matched >= nice_length || (matched >= MIN_MATCH && !self.is_next_better(finder, at, end)) {
                symbol = Symbol { length: matched, step: FIRST_MATCH_STEP + distance as i32 };
                self.reps = [distance, self.reps[0], self.reps[1], self.reps[2]];
            }
            *symbols.add(count) = symbol;
            count += 1;
            at += symbol.length;
        }
        count
    }

    /// Finds the best match: prefers a much nearer one of about the same length.
    #[inline(always)]
    unsafe fn find(&mut self, finder: &mut Finder, at: u32, end: u32) {
        let max = MAX_MATCH.min(end - at);
        let mut count = if max >= MIN_HASHED { finder.find(at, max) } else { 0 };
        self.found_at = at;
        self.length = 1;
        self.distance = 0;
        if count == 0 {
            return;
        }
        while count > 1 {
            let longer = *finder.matches.get_unchecked(count - 1);
            let nearer = *finder.matches.get_unchecked(count - 2);
            if longer.length - nearer.length > 1 || !is_much_nearer(nearer.distance, longer.distance) {
                break;
            }
            count -= 1;
        }
        let best = *finder.matches.get_unchecked(count - 1);
        self.distance = best.distance;
        if best.length > MIN_MATCH || best.distance < NEAR {
            self.length = best.length;
        }
    }

    /// Whether a better match follows after a literal. Keeps the match of the next byte for `find`.
    #[inline(always)]
    unsafe fn is_next_better(&mut self, finder: &mut Finder, at: u32, end: u32) -> bool {
        let length = self.length;
        let distance = self.distance;
        if at + 1 >= end {
            return false;
        }
        self.find(finder, at + 1, end);
        let next = self.length;
        if next >= MIN_MATCH
            && (next > length + 1
                || (next == length + 1 && !is_much_nearer(distance, self.distance))
                || (next == length && self.distance < distance)
                || (next + 1 == length && length >= 3 && is_much_nearer(self.distance, distance)))
        {
            return true;
        }
        let wanted = MIN_MATCH.max(length - 1);
        (0..4).any(|rep| self.rep_length(finder.text, at + 1, end.min(at + 1 + wanted), rep) >= wanted)
    }

    #[inline(always)]
    unsafe fn rep_length(&self, text: *const u8, at: u32, end: u32, rep: usize) -> u32 {
        let distance = *self.reps.get_unchecked(rep);
        if distance >= at {
            return 0;
        }
        let here = text.add(at as usize);
        common_length(here.sub(distance as usize + 1), here, MAX_MATCH.min(end - at))
    }
}

fn is_much_nearer(distance: u32, other: u32) -> bool {
    distance < other >> NEARER_BITS
}

fn is_rep_better(repeated: u32, matched: u32, distance: u32, nice_length: u32) -> bool {
    repeated >= nice_length
        || repeated + 1 >= matched
        || (repeated + 2 >= matched && distance >= FAR)
        || (repeated + 3 >= matched && distance >= VERY_FAR)
}
