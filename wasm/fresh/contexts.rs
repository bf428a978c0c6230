//! The bytes before the next one, and the contexts that they make.

/// Bytes that are kept.
pub const KEPT: usize = 1 << 23;
pub const MASK: u32 = KEPT as u32 - 1;
pub const CONTEXTS: usize = 14;

pub static mut HISTORY: [u8; KEPT] = [0; KEPT];

/// A hash of two numbers.
#[inline(always)]
pub fn mixed(a: u32, b: u32) -> u32 {
    let hash = (a ^ b.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b);
    (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d)
}

/// `last` has the last four bytes, the last one lowest, `before` those before them; `at` is the number of bytes so far.
#[inline(always)]
pub fn contexts(last: u32, before: u32, word: u32, at: u32) -> [u32; CONTEXTS] {
    [
        0,
        last & 0xff,
        last & 0xffff,
        last & 0xff_ffff,
        last,
        word,
        // bytes of instructions and of records, without those between, or without their lower bits
        last & 0xff_ff00,
        last & 0xff_0000,
        last & 0xff_00ff,
        last & 0xf0f0_f0f0,
        last & 0xf8_f8ff,
        last & 0xf8ff_ff00,
        (last & 0xffff) | (before & 0xff) << 16,
        (last & 0xff00_0000) | (at & 3),
    ]
}

/// A hash of the letters of a word so far, and of its next byte.
#[inline(always)]
pub fn word_with(word: u32, byte: u32) -> u32 {
    let lower = byte | 0x20;
    let is_letter = lower.wrapping_sub(0x61) < 26 || byte >= 128;
    if is_letter {
        word.wrapping_add(lower).wrapping_mul(0x2f0b_4c47)
    } else {
        0
    }
}
