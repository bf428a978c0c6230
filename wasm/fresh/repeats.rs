//! Predicts that bytes which followed the last occurrence of the last few bytes follow again.
use crate::contexts::{HISTORY, MASK};
use crate::predictor::{adapt, NEW_MODEL};

const PLACE_BITS: u32 = 17;
/// Bytes that are known to be the same, at most, and the least that are worth a prediction.
const MOST: u32 = 400;
const LEAST: u32 = 3;
/// Lengths that have models of their own.
const LENGTHS: usize = 32;
const NO_MODEL: usize = 2 * LENGTHS;

/// `KNOWN` bytes find an occurrence.
pub struct Repeat<const KNOWN: u32> {
    places: [u32; 1 << PLACE_BITS],
    models: [u32; 2 * LENGTHS],
    from: u32,
    length: u32,
    /// The expected byte, behind a 1.
    expected: u32,
    /// The model of the expected bit; NO_MODEL for none.
    model: usize,
}

impl<const KNOWN: u32> Repeat<KNOWN> {
    pub const EMPTY: Self =
        Repeat { places: [0; 1 << PLACE_BITS], models: [0; 2 * LENGTHS], from: 0, length: 0, expected: 0, model: 0 };

    pub fn start(&mut self) {
        self.models.fill(NEW_MODEL);
        self.model = NO_MODEL;
    }

    /// Bytes that are known to be the same, if the byte so far is as expected, else 0.
    pub fn length(&self) -> u32 {
        if self.model < NO_MODEL {
            self.length
        } else {
            0
        }
    }

    /// The model of the next bit. `node` is the byte so far, behind a 1; `bits` of it are left.
    #[inline(always)]
    pub fn model(&mut self, node: u32, bits: u32) -> Option<u32> {
        if self.length == 0 || self.expected >> bits != node {
            self.model = NO_MODEL;
            return None;
        }
        let length = if self.length < 16 { self.length } else { 15 + ((self.length - 16) / 8).min(16) };
        self.model = (2 * length + ((self.expected >> (bits - 1)) & 1)) as usize;
        Some(self.models[self.model])
    }

    #[inline(always)]
    pub fn learn(&mut self, bit: u32) {
        if let Some(model) = self.models.get_mut(self.model) {
            adapt(model, bit);
        }
    }

    /// The byte at `size - 1` of the history is known now. `last` has eight bytes, the last one lowest.
    pub unsafe fn append(&mut self, size: u32, last: u64) {
        let byte = HISTORY[((size - 1) & MASK) as usize];
        if self.length > 0 && HISTORY[(self.from & MASK) as usize] == byte {
            self.length = (self.length + 1).min(MOST);
            self.from = self.from.wrapping_add(1);
        } else {
            self.length = 0;
        }
        if size >= KNOWN {
            let hash = (last << (64 - 8 * KNOWN)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let before = core::mem::replace(&mut self.places[(hash >> (64 - PLACE_BITS)) as usize], size);
            if self.length == 0 && before > 0 {
                self.find(before, size);
            }
        }
        self.expected = HISTORY[(self.from & MASK) as usize] as u32 | 256;
    }

    unsafe fn find(&mut self, before: u32, size: u32) {
        self.from = before;
        let mut same = 0;
        while same < MOST && same < before {
            let [a, b] = [before, size].map(|end| HISTORY[((end - 1 - same) & MASK) as usize]);
            if a != b {
                break;
            }
            same += 1;
        }
        self.length = if same < LEAST { 0 } else { same };
    }
}
