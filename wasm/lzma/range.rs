//! LZMA's range encoder with adaptive probabilities.
use super::model::*;

#[derive(Clone, Copy)]
pub struct RangeEncoder {
    low: u32,
    range: u32,
    /// Where the next byte of output goes.
    pub at: *mut u8,
}

impl RangeEncoder {
    pub unsafe fn start(output: *mut u8) -> RangeEncoder {
        // the first byte is 0 and takes a carry; the decoder expects it
        *output = 0;
        RangeEncoder { low: 0, range: u32::MAX, at: output.add(1) }
    }

    /// Which bit it is depends on the data, so there is no branch for it.
    #[inline(always)]
    pub unsafe fn bit(&mut self, probability: *mut u16, bit: u32) {
        let p = *probability as u32;
        let bound = (self.range >> PROBABILITY_BITS) * p;
        let mask = bit.wrapping_neg();
        // 0 adds (TOTAL - p) >> RATE, 1 takes off p >> RATE
        let adapted = if bit == 0 { p + ((TOTAL - p) >> RATE) } else { p - (p >> RATE) };
        *probability = adapted as u16;
        self.range = if bit == 0 { bound } else { self.range - bound };
        self.add(bound & mask);
        self.normalize();
    }

    #[inline(always)]
    unsafe fn add(&mut self, bound: u32) {
        let (low, carry) = self.low.overflowing_add(bound);
        self.low = low;
        if carry {
            let mut i = self.at.sub(1);
            while *i == 0xff {
                *i = 0;
                i = i.sub(1);
            }
            *i += 1;
        }
    }

    #[inline(always)]
    unsafe fn normalize(&mut self) {
        if self.range < TOP {
            self.shift();
        }
    }

    #[inline(always)]
    unsafe fn shift(&mut self) {
        *self.at = (self.low >> 24) as u8;
        self.at = self.at.add(1);
        self.low <<= 8;
        self.range <<= 8;
    }

    /// Codes the low `count` bits of `value`, highest first.
    #[inline(always)]
    pub unsafe fn tree(&mut self, tree: *mut u16, count: u32, value: u32) {
        let mut symbol = 1;
        for i in (0..count).rev() {
            let bit = (value >> i) & 1;
            self.bit(tree.add(symbol), bit);
            symbol = (symbol << 1) | bit as usize;
        }
    }

    /// Codes a literal's eight bits, highest first, along the trees at `base`.
    ///
    /// `offset` is 0x100 after a match, else 0: `expected`, the byte at the match's distance, then selects one of two
    /// more trees up to the first bit that differs.
    #[inline(always)]
    pub unsafe fn literal(&mut self, base: *mut u16, byte: u32, mut offset: u32, mut expected: u32) {
        let mut symbol = 1;
        for i in (0..8).rev() {
            expected <<= 1;
            let bit = (byte >> i) & 1;
            let predicted = offset & expected;
            self.bit(base.add((offset + predicted + symbol) as usize), bit);
            offset &= !(predicted ^ (bit << 8));
            symbol = (symbol << 1) | bit;
        }
    }

    /// Codes the low `count` bits of `value`, lowest first.
    #[inline(always)]
    pub unsafe fn reverse_tree(&mut self, tree: *mut u16, count: u32, value: u32) {
        let mut symbol = 1;
        for i in 0..count {
            let bit = (value >> i) & 1;
            self.bit(tree.add(symbol), bit);
            symbol = (symbol << 1) | bit as usize;
        }
    }

    /// Codes the low `count` bits of `value`, highest first, at probability 1/2.
    #[inline(always)]
    pub unsafe fn direct(&mut self, value: u32, count: u32) {
        for i in (0..count).rev() {
            self.range >>= 1;
            self.add(self.range & ((value >> i) & 1).wrapping_neg());
            self.normalize();
        }
    }

    pub unsafe fn finish(&mut self) {
        for _ in 0..4 {
            self.shift();
        }
    }
}
