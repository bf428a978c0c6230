//! The loops over bytes of `lib/pairing/signature/contentsketch.ts`, which says what they find.
#![no_std]
#![allow(static_mut_refs)]

use core::ptr::{addr_of, addr_of_mut};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Bytes of a sampled window.
const WINDOW: usize = 32;
/// A window is sampled if its gear hash is below.
const SAMPLED: u32 = 1 << (32 - 10);
const BLOCK: usize = 64 * 1024;
const DENSITY_BLOCK: usize = 4096;
/// Bits of a repeat: distance and length as deflate writes them.
const REPEAT_BITS: i32 = 19;
const SLOT_BITS: u32 = 12;
/// The hash of a byte depends on those of the last 32 alone, so that parts of a block are hashed side by side: one chain
/// of hashes waits for itself.
const LANES: usize = 4;

/// A random word per byte value (splitmix32).
static GEAR: [u32; 256] = gear();
/// The last window of the previous block, then the bytes of this one.
static mut BYTES: [u8; WINDOW + BLOCK] = [0; WINDOW + BLOCK];
static mut SAMPLES: [u32; BLOCK] = [0; BLOCK];
static mut COUNTS: [u32; 256] = [0; 256];
/// Position of the latest occurrence of four bytes, plus `EPOCH`. Positions below `EPOCH` belong to earlier blocks.
static mut POSITIONS: [u32; 1 << SLOT_BITS] = [0; 1 << SLOT_BITS];
static mut EPOCH: u32 = 0;

const fn gear() -> [u32; 256] {
    let mut words = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        words[byte] = mixed((byte as u32 + 1).wrapping_mul(0x9e3779b9));
        byte += 1;
    }
    words
}

const fn mixed(word: u32) -> u32 {
    let mut x = (word ^ (word >> 16)).wrapping_mul(0x21f0aaad);
    x = (x ^ (x >> 15)).wrapping_mul(0x735a2d97);
    x ^ (x >> 15)
}

#[no_mangle]
pub extern "C" fn bytes() -> *const u8 {
    addr_of!(BYTES) as *const u8
}

#[no_mangle]
pub extern "C" fn samples() -> *const u32 {
    addr_of!(SAMPLES) as *const u32
}

#[no_mangle]
pub extern "C" fn counts() -> *const u32 {
    addr_of!(COUNTS) as *const u32
}

/// Writes the hashes of the sampled windows that begin at or after `from` and end at or before `end`, in any order.
/// Returns their number.
#[no_mangle]
pub extern "C" fn sample(from: usize, end: usize) -> usize {
    let bytes = unsafe { &*addr_of!(BYTES) };
    let first = from + WINDOW - 1;
    if end > bytes.len() || first >= end {
        return 0;
    }
    let mut found = 0;
    let part = (end - first) / LANES;
    let mut hashes = [0u32; LANES];
    let starts = [first, first + part, first + 2 * part, first + 3 * part];
    for (hash, start) in hashes.iter_mut().zip(starts) {
        for byte in &bytes[start + 1 - WINDOW..start] {
            *hash = next(*hash, *byte);
        }
    }
    for i in 0..part {
        let mut least = u32::MAX;
        for (hash, start) in hashes.iter_mut().zip(starts) {
            *hash = next(*hash, unsafe { *bytes.get_unchecked(start + i) });
            least = least.min(*hash);
        }
        if least >= SAMPLED {
            continue;
        }
        for (hash, start) in hashes.iter().zip(starts) {
            if *hash < SAMPLED {
                keep(&mut found, bytes, start + i);
            }
        }
    }
    let mut hash = hashes[LANES - 1];
    for last in starts[LANES - 1] + part..end {
        hash = next(hash, bytes[last]);
        if hash < SAMPLED {
            keep(&mut found, bytes, last);
        }
    }
    found
}

#[inline(always)]
fn next(hash: u32, byte: u8) -> u32 {
    (hash << 1).wrapping_add(GEAR[byte as usize])
}

#[inline(never)]
fn keep(found: &mut usize, bytes: &[u8], last: usize) {
    let mut hash = 0x811c9dc5u32;
    for byte in &bytes[last + 1 - WINDOW..=last] {
        hash = (hash ^ *byte as u32).wrapping_mul(0x01000193);
    }
    unsafe { SAMPLES[*found] = mixed(hash) };
    *found += 1;
}

/// Counts the literals of a block of at most `DENSITY_BLOCK` bytes per value. Returns the bits of its repeats.
#[no_mangle]
pub extern "C" fn repeats(start: usize, end: usize) -> i32 {
    let bytes = unsafe { &*addr_of!(BYTES) };
    let (counts, positions) = unsafe { (&mut *addr_of_mut!(COUNTS), &mut *addr_of_mut!(POSITIONS)) };
    let epoch = unsafe {
        EPOCH += DENSITY_BLOCK as u32;
        if EPOCH > 1 << 30 {
            positions.fill(0);
            EPOCH = DENSITY_BLOCK as u32;
        }
        EPOCH
    };
    counts.fill(0);
    let block = &bytes[start..end];
    let word_at = |at: usize| unsafe { (block.as_ptr().add(at) as *const u32).read_unaligned() };
    let mut bits = 0;
    let mut i = 0;
    while i + 4 <= block.len() {
        let word = word_at(i);
        let slot = (word.wrapping_mul(0x9e3779b1) >> (32 - SLOT_BITS)) as usize;
        let position = positions[slot];
        positions[slot] = epoch + i as u32;
        // a position of an earlier block gives one in this block, so that one branch decides
        let at = position.wrapping_sub(epoch) as usize % DENSITY_BLOCK;
        let at = at.min(i);
        if (position >= epoch) & (word_at(at) == word) {
            bits += REPEAT_BITS;
            let distance = i - at;
            i += 4;
            while i + 4 <= block.len() && word_at(i - distance) == word_at(i) {
                i += 4;
            }
            while i < block.len() && block[i - distance] == block[i] {
                i += 1;
            }
        } else {
            counts[block[i] as usize] += 1;
            i += 1;
        }
    }
    for byte in &block[i..] {
        counts[*byte as usize] += 1;
    }
    bits
}
