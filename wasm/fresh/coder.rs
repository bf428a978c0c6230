//! The range coder of the patch (`bitcoder.ts`), with finer probabilities.
use crate::CODED;

/// Probabilities of 16 bits are kept this far from 0 and from 1.
const MARGIN: u32 = 4;
const TOP_BYTE: u32 = 0xff00_0000;
/// Bytes that a decoder reads ahead, and those it supplies at most behind the end.
const READ_AHEAD: usize = 4;
const SUPPLIED: usize = 2 * READ_AHEAD;

/// Codes bits in one direction: an encoder writes `bit` and returns it, a decoder ignores it and returns its own.
pub trait Coder {
    /// `probability` of a 1 in 2^-16.
    unsafe fn bit(&mut self, probability: u32, bit: u32) -> u32;
}

/// Where the lower part, which stands for a 1, ends.
#[inline(always)]
fn border(low: u32, high: u32, probability: u32) -> u32 {
    let p = probability.clamp(MARGIN, 65536 - MARGIN);
    let range = high - low;
    low + (range >> 16) * p + (((range & 0xffff) * p) >> 16)
}

pub struct Encoder {
    low: u32,
    high: u32,
    size: usize,
}

impl Encoder {
    pub const fn new() -> Encoder {
        Encoder { low: 0, high: u32::MAX, size: 0 }
    }

    unsafe fn write(&mut self, byte: u32) {
        *CODED.add(self.size) = byte as u8;
        self.size += 1;
    }

    /// Returns the number of bytes, without those at the end that a decoder supplies itself.
    pub unsafe fn finish(&mut self) -> usize {
        // one byte above `low` names a place between both, as a decoder reads zeros behind the end
        if self.low != 0 {
            self.write((self.low >> 24) + 1);
        }
        let mut length = self.size;
        while length > 0 && length + READ_AHEAD > self.size && *CODED.add(length - 1) == 0 {
            length -= 1;
        }
        length
    }
}

impl Coder for Encoder {
    #[inline(always)]
    unsafe fn bit(&mut self, probability: u32, bit: u32) -> u32 {
        let middle = border(self.low, self.high, probability);
        if bit == 0 {
            self.low = middle + 1;
        } else {
            self.high = middle;
        }
        while (self.low ^ self.high) & TOP_BYTE == 0 {
            self.write(self.high >> 24);
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
        }
        bit
    }
}

/// Behind the end of its bytes it reads zeros.
pub struct Decoder {
    low: u32,
    high: u32,
    code: u32,
    at: usize,
    size: usize,
}

impl Decoder {
    pub const fn new() -> Decoder {
        Decoder { low: 0, high: u32::MAX, code: 0, at: 0, size: 0 }
    }

    pub unsafe fn start(&mut self, size: usize) {
        self.size = size;
        for _ in 0..4 {
            self.shift();
        }
    }

    /// Whether all bytes were read, and behind them no more than an encoder leaves out.
    pub fn is_sound(&self) -> bool {
        self.size <= self.at && self.at <= self.size + SUPPLIED
    }

    #[inline(always)]
    unsafe fn shift(&mut self) {
        let byte = if self.at < self.size { *CODED.add(self.at) } else { 0 };
        self.code = (self.code << 8) | byte as u32;
        self.at += 1;
    }
}

impl Coder for Decoder {
    #[inline(always)]
    unsafe fn bit(&mut self, probability: u32, _: u32) -> u32 {
        let middle = border(self.low, self.high, probability);
        let bit = (self.code <= middle) as u32;
        if bit == 0 {
            self.low = middle + 1;
        } else {
            self.high = middle;
        }
        while (self.low ^ self.high) & TOP_BYTE == 0 {
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
            self.shift();
        }
        bit
    }
}
