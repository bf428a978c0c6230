//! The search for samples: places where four bytes have a certain hash.
use core::arch::wasm32::*;
use core::ptr::{addr_of, addr_of_mut};

const CHUNK: usize = 128 * 1024;
const MARGIN: usize = 16;
const SHIFT: u32 = 23;
const MULTIPLIER: u32 = 0x9e3779b1;
/// Bytes of a sample.
const SAMPLED: i32 = 12;

static mut TEXT: [u8; CHUNK + MARGIN] = [0; CHUNK + MARGIN];
static mut PLACES: [u32; CHUNK] = [0; CHUNK];

#[no_mangle]
pub extern "C" fn text() -> *const u8 {
    addr_of!(TEXT) as *const u8
}

#[no_mangle]
pub extern "C" fn places() -> *const u32 {
    addr_of!(PLACES) as *const u32
}

/// Finds the places of samples in `size` bytes of the text, ascending. Returns their number.
#[no_mangle]
pub unsafe extern "C" fn find_places(size: i32) -> i32 {
    let start = addr_of!(TEXT) as *const u8;
    let places = addr_of_mut!(PLACES) as *mut u32;
    let last = size - SAMPLED;
    let mut count = 0;
    let mut at = 0;
    while at <= last {
        let mut found = samples_at(start.offset(at as isize));
        while found != 0 {
            let place = at + found.trailing_zeros() as i32;
            found &= found - 1;
            if place <= last {
                *places.add(count as usize) = place as u32;
                count += 1;
            }
        }
        at += 8;
    }
    count
}

/// Bit i says whether a sample is at byte i of eight. Zero bytes are no sample.
#[inline(always)]
unsafe fn samples_at(at: *const u8) -> u32 {
    let bytes = v128_load(at as *const v128);
    let low = i8x16_shuffle::<0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6>(bytes, bytes);
    let high = i8x16_shuffle::<4, 5, 6, 7, 5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10>(bytes, bytes);
    let bits = i16x8_narrow_i32x4(are_samples(low), are_samples(high));
    i16x8_bitmask(bits) as u32
}

#[inline(always)]
unsafe fn are_samples(words: v128) -> v128 {
    let hashes = i32x4_mul(words, u32x4_splat(MULTIPLIER));
    let zero = u32x4_splat(0);
    v128_andnot(i32x4_eq(u32x4_shr(hashes, SHIFT), zero), i32x4_eq(words, zero))
}
