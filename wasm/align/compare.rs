//! Comparison of two buffers at a distance, sixteen bytes at once. Bytes beyond the ends of the source count as different.
use core::arch::wasm32::*;

/// Bytes around a side that may be read.
pub const MARGIN: usize = 64;
const WORD: i32 = 16;
/// How far a score may fall below its best before an extension gives up.
const PATIENCE: i32 = 4096;

#[derive(Clone, Copy)]
pub struct Sides {
    pub source: *const u8,
    pub source_size: i32,
    pub target: *const u8,
    pub target_size: i32,
}

/// Bit i says that byte i differs.
#[inline(always)]
unsafe fn differences(a: *const u8, b: *const u8) -> u32 {
    u8x16_bitmask(u8x16_ne(v128_load(a as *const v128), v128_load(b as *const v128))) as u32
}

#[inline(always)]
unsafe fn equal_lanes(a: *const u8, b: *const u8) -> v128 {
    u8x16_eq(v128_load(a as *const v128), v128_load(b as *const v128))
}

/// Number of differing bytes of 128.
#[inline(always)]
pub unsafe fn differing128(a: *const u8, b: *const u8) -> i32 {
    let mut equal = equal_lanes(a, b);
    for i in 1..8 {
        equal = i8x16_add(equal, equal_lanes(a.add(16 * i), b.add(16 * i)));
    }
    let sums = u32x4_extadd_pairwise_u16x8(u16x8_extadd_pairwise_u8x16(i8x16_neg(equal)));
    let halves = i32x4_add(sums, i64x2_shuffle::<1, 0>(sums, sums));
    128 - i32x4_extract_lane::<0>(halves) - i32x4_extract_lane::<1>(halves)
}

/// Number of differing bytes of `size`, at most `limit`. May read 15 bytes beyond.
pub unsafe fn differing(a: *const u8, b: *const u8, size: i32, limit: i32) -> i32 {
    let mut count = 0;
    let mut i = 0;
    while i + 128 <= size {
        count += differing128(a.offset(i as isize), b.offset(i as isize));
        if count >= limit {
            return limit;
        }
        i += 128;
    }
    while i < size {
        let seen = if size - i < WORD { (1 << (size - i)) - 1 } else { 0xffff };
        count += (differences(a.offset(i as isize), b.offset(i as isize)) & seen).count_ones() as i32;
        i += WORD;
    }
    count.min(limit)
}

impl Sides {
    #[inline(always)]
    pub unsafe fn from(&self, s: i32) -> *const u8 {
        self.source.offset(s as isize)
    }

    #[inline(always)]
    pub unsafe fn to(&self, t: i32) -> *const u8 {
        self.target.offset(t as isize)
    }

    #[inline(always)]
    pub unsafe fn common_length(&self, s: i32, t: i32) -> i32 {
        if s < 0 {
            return 0;
        }
        let limit = (self.source_size - s).min(self.target_size - t);
        let mut length = 0;
        while length < limit {
            let found = differences(self.from(s + length), self.to(t + length));
            if found != 0 {
                length += found.trailing_zeros() as i32;
                break;
            }
            length += WORD;
        }
        length.min(limit).max(0)
    }

    /// Number of equal bytes of `length`, which the target has from `t` on.
    pub unsafe fn equal_bytes(&self, s: i32, t: i32, length: i32) -> i32 {
        let first = (-s).max(0);
        let size = length.min(self.source_size - s) - first;
        if size <= 0 {
            return 0;
        }
        size - differing(self.from(s + first), self.to(t + first), size, i32::MAX)
    }

    /// How far to go forward, at most `most` bytes, for the best score of equal less different bytes.
    pub unsafe fn extension(&self, s: i32, t: i32, most: i32) -> i32 {
        let limit = (self.source_size - s).min(self.target_size - t).min(most);
        let mut walk = Walk::new();
        while walk.length < limit {
            let i = walk.length;
            let size = (limit - i).min(WORD);
            let found = differences(self.from(s + i), self.to(t + i));
            if walk.goes_on(found, size, |bits| bits.trailing_zeros() as i32, |bits, n| bits >> n) {
                continue;
            }
            break;
        }
        walk.best_length
    }

    /// Likewise back, to the target's `floor`.
    pub unsafe fn extension_back(&self, s: i32, t: i32, floor: i32) -> i32 {
        let limit = s.min(t - floor);
        let mut walk = Walk::new();
        while walk.length < limit {
            let i = walk.length;
            let size = (limit - i).min(WORD);
            let found = differences(self.from(s - i - WORD), self.to(t - i - WORD)) << 16;
            if walk.goes_on(found, size, |bits| bits.leading_zeros() as i32, |bits, n| bits << n) {
                continue;
            }
            break;
        }
        walk.best_length
    }

    #[inline(always)]
    unsafe fn is_equal(&self, s: i32, t: i32) -> bool {
        s >= 0 && s < self.source_size && *self.from(s) == *self.to(t)
    }

    /// Where in target[start, end) to change from one distance to the other, for the most equal bytes.
    pub unsafe fn border(&self, before: i32, after: i32, start: i32, end: i32) -> i32 {
        let low = before.min(after);
        let high = before.max(after);
        let mut score = 0;
        let mut best = 0;
        let mut place = start;
        let mut t = start;
        while t < end {
            let is_inside = t + WORD <= end && t + low >= 0 && t + high + WORD <= self.source_size;
            if is_inside
                && differences(self.from(t + before), self.to(t)) == differences(self.from(t + after), self.to(t))
            {
                t += WORD;
                continue;
            }
            for t in t..(t + WORD).min(end) {
                score += self.is_equal(t + before, t) as i32 - self.is_equal(t + after, t) as i32;
                if score > best {
                    best = score;
                    place = t + 1;
                }
            }
            t += WORD;
        }
        place
    }
}

/// A walk over equal and different bytes.
struct Walk {
    length: i32,
    score: i32,
    best: i32,
    /// The shortest walk with the best score.
    best_length: i32,
}

impl Walk {
    fn new() -> Walk {
        Walk { length: 0, score: 0, best: 0, best_length: 0 }
    }

    /// Takes the next bytes, run by run. Returns false where the score has fallen too far.
    ///
    /// `zeros` counts the first bits of the differences that are 0, `without` drops the first bits.
    #[inline(always)]
    fn goes_on(
        &mut self,
        differences: u32,
        size: i32,
        zeros: impl Fn(u32) -> i32,
        without: impl Fn(u32, i32) -> u32,
    ) -> bool {
        let mut bits = differences;
        let end = self.length + size;
        while self.length < end {
            let equal = zeros(bits).min(end - self.length);
            self.score += equal;
            self.length += equal;
            if self.score > self.best {
                self.best = self.score;
                self.best_length = self.length;
            }
            if self.length == end {
                break;
            }
            bits = without(bits, equal);
            let different = zeros(!bits).min(end - self.length);
            self.score -= different;
            self.length += different;
            if self.score < self.best - PATIENCE {
                return false;
            }
            bits = without(bits, different);
        }
        true
    }
}
