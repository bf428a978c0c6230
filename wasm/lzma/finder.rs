//! Finds earlier occurrences of the bytes at a position: the nearest one for each length.
//!
//! The last 16 positions of each hash of four bytes are kept in a row, which is a cache line. An entry has 24 bits of
//! the position and 8 more bits of the hash, which exclude most candidates that do not match (as in zstd's row-based
//! match finder). For hashes of two and three bytes only the last position is kept. The full hash of three bytes
//! identifies them. Entries may be stale, so every candidate is compared.
use super::memory::{allocate, load32, load64};
use core::arch::wasm32::*;
use core::ptr::null_mut;

const ROW_BITS: u32 = 4;
const ROW: u32 = 1 << ROW_BITS;
const HASH3_BITS: u32 = 16;
/// Shift from the 8 hash bits that a slot does not determine to the position of an entry's tag.
const HASH3_TAG: u32 = 16;
/// Farther matches of two and of three bytes cost more than literals.
const FARTHEST_OF_TWO: u32 = 1 << 12;
const FARTHEST_OF_THREE: u32 = 1 << 18;
const MULTIPLIER: u32 = 0x9e3779b1;
const POSITION_BITS: u32 = 24;
const POSITION_MASK: u32 = (1 << POSITION_BITS) - 1;

/// Bytes needed at a position to enter it.
pub const MIN_HASHED: u32 = 4;
const MAX_MATCHES: usize = ROW as usize + 2;

#[derive(Clone, Copy)]
pub struct Match {
    pub length: u32,
    /// Minus one, as LZMA counts it.
    pub distance: u32,
}

pub struct Finder {
    pub text: *const u8,
    pub matches: [Match; MAX_MATCHES],
    window: u32,
    rows: *mut u32,
    heads: *mut u8,
    /// The row of each hash, from 1; 0 is none yet. Null if each hash has a row of its own.
    row_of: *mut u32,
    rows_used: u32,
    row_count_bits: u32,
    depth: u32,
    last2: *mut u32,
    last3: *mut u32,
    /// The first position that has not been entered.
    next: u32,
    /// Sum of the moves of the text; entries hold positions before all moves, modulo 16 MiB.
    moved: u32,
}

impl Finder {
    /// See `encoder_start` for the parameters.
    pub unsafe fn new(text: *const u8, window: u32, row_count_bits: u32, depth: u32, positions: u32) -> Finder {
        let is_short = positions < 1 << (row_count_bits - 1);
        let row_count = if is_short { positions as usize + 1 } else { 1 << row_count_bits };
        Finder {
            text,
            matches: [Match { length: 0, distance: 0 }; MAX_MATCHES],
            window,
            rows: allocate((row_count << ROW_BITS) * 4) as *mut u32,
            heads: allocate(row_count),
            row_of: if is_short { allocate(4 << row_count_bits) as *mut u32 } else { null_mut() },
            rows_used: 0,
            row_count_bits,
            depth,
            last2: allocate(4 << 16) as *mut u32,
            last3: allocate(4 << HASH3_BITS) as *mut u32,
            next: 0,
            moved: 0,
        }
    }

    /// Enters the remaining positions before `end`. Their bytes must be known.
    #[inline(always)]
    pub unsafe fn enter_until(&mut self, end: u32) {
        while self.next < end {
            self.insert(self.next);
            self.next += 1;
        }
    }

    /// Adapts to a move of the text by `distance` towards its start.
    pub fn move_by(&mut self, distance: u32) {
        self.next -= distance;
        self.moved = self.moved.wrapping_add(distance);
    }

    #[inline(always)]
    unsafe fn row(&mut self, hash: u32) -> usize {
        let slot = (hash >> (32 - self.row_count_bits)) as usize;
        if self.row_of.is_null() {
            return slot;
        }
        let row = self.row_of.add(slot);
        if *row == 0 {
            self.rows_used += 1;
            *row = self.rows_used;
        }
        *row as usize
    }

    #[inline(always)]
    unsafe fn insert(&mut self, at: u32) {
        let position = at.wrapping_add(self.moved) & POSITION_MASK;
        let four = load32(self.text.add(at as usize));
        let hash = four.wrapping_mul(MULTIPLIER);
        let hash3 = four.wrapping_mul(MULTIPLIER << 8);
        *self.last2.add((four & 0xffff) as usize) = position;
        *self.last3.add((hash3 >> (32 - HASH3_BITS)) as usize) = position | (hash3 << HASH3_TAG);
        let row = self.row(hash);
        let head = *self.heads.add(row) as u32;
        *self.heads.add(row) = ((head + 1) & (ROW - 1)) as u8;
        *self.rows.add((row << ROW_BITS) + head as usize) = position | self.tag(hash);
    }

    #[inline(always)]
    fn tag(&self, hash: u32) -> u32 {
        (hash << self.row_count_bits) & !POSITION_MASK
    }

    /// Enters the positions up to `at`, and finds matches of two to `max` bytes, by ascending length and distance. Needs
    /// four bytes at `at`. Returns the number of matches.
    #[inline(always)]
    pub unsafe fn find(&mut self, at: u32, max: u32) -> usize {
        self.enter_until(at);
        self.next = at + 1;
        let here = self.text.add(at as usize);
        let farthest = at.min(self.window);
        let position = at.wrapping_add(self.moved) & POSITION_MASK;
        let four = load32(here);
        let hash = four.wrapping_mul(MULTIPLIER);
        let hash3 = four.wrapping_mul(MULTIPLIER << 8);
        let tag3 = hash3 << HASH3_TAG;
        let row = self.row(hash);
        let mut count = 0;
        let mut longest = 1;

        let last2 = self.last2.add((four & 0xffff) as usize);
        let last3 = self.last3.add((hash3 >> (32 - HASH3_BITS)) as usize);
        let distance2 = position.wrapping_sub(*last2) & POSITION_MASK;
        let entry3 = *last3;
        let distance3 = position.wrapping_sub(entry3) & POSITION_MASK;
        *last2 = position;
        *last3 = position | tag3;
        if distance2 > 0 && distance2 <= farthest.min(FARTHEST_OF_TWO) {
            let length = common_length(here.sub(distance2 as usize), here, max);
            if length > longest {
                longest = length;
                self.matches[count] = Match { length, distance: distance2 - 1 };
                count += 1;
            }
        }
        if (entry3 ^ tag3) >> POSITION_BITS == 0
            && distance3 > distance2
            && distance3 <= farthest.min(FARTHEST_OF_THREE)
        {
            let length = common_length(here.sub(distance3 as usize), here, max);
            if length > longest {
                longest = length;
                self.matches[count] = Match { length, distance: distance3 - 1 };
                count += 1;
            }
        }

        let first = self.rows.add(row << ROW_BITS);
        let head = *self.heads.add(row) as u32;
        let tag = self.tag(hash);
        // entries with the tag as bits: the newest entry is bit 15, the one before it bit 14
        let tagged = entries_with(first, tag);
        let mut left = ((tagged << ROW | tagged) >> head) & 0xffff & (0xffff << (ROW - self.depth));
        while left != 0 && longest < max {
            let newest = 31 - left.leading_zeros();
            left ^= 1 << newest;
            let entry = *first.add(((newest + head) & (ROW - 1)) as usize);
            let distance = position.wrapping_sub(entry) & POSITION_MASK;
            if distance == 0 || distance > farthest {
                continue;
            }
            let from = here.sub(distance as usize);
            if *from.add(longest as usize) != *here.add(longest as usize) {
                continue;
            }
            let length = common_length(from, here, max);
            if length > longest {
                longest = length;
                *self.matches.get_unchecked_mut(count) = Match { length, distance: distance - 1 };
                count += 1;
            }
        }
        *self.heads.add(row) = ((head + 1) & (ROW - 1)) as u8;
        *first.add(head as usize) = position | tag;
        count
    }
}

/// The entries of a row with the given tag: bit i for entry i.
#[inline(always)]
unsafe fn entries_with(row: *const u32, tag: u32) -> u32 {
    let row = row as *const v128;
    let tag = u32x4_splat(tag);
    let zero = u32x4_splat(0);
    let equal = |i| i32x4_eq(u32x4_shr(v128_xor(v128_load(row.add(i)), tag), POSITION_BITS), zero);
    let low = i16x8_narrow_i32x4(equal(0), equal(1));
    let high = i16x8_narrow_i32x4(equal(2), equal(3));
    i8x16_bitmask(i8x16_narrow_i16x8(low, high)) as u32
}

/// Number of equal bytes, at most `most`. May read seven bytes beyond.
#[inline(always)]
pub unsafe fn common_length(a: *const u8, b: *const u8, most: u32) -> u32 {
    let mut n = 0;
    while n < most {
        let difference = load64(a.add(n as usize)) ^ load64(b.add(n as usize));
        if difference != 0 {
            n += difference.trailing_zeros() >> 3;
            break;
        }
        n += 8;
    }
    n.min(most)
}
