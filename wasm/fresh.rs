//! Codes the new bytes of a patch for `lib/delta/formats/native`: bits are predicted from many contexts at once. An instance
//! serves one encoder or one decoder. Integers only: every machine computes the same.
#![no_std]
#![allow(static_mut_refs)]

#[path = "fresh/coder.rs"]
mod coder;
#[path = "fresh/contexts.rs"]
mod contexts;
#[path = "fresh/histories.rs"]
mod histories;
#[path = "fresh/logistic.rs"]
mod logistic;
#[allow(dead_code)]
#[path = "memory.rs"]
mod memory;
#[path = "fresh/mixer.rs"]
mod mixer;
#[path = "fresh/predictor.rs"]
mod predictor;
#[path = "fresh/repeats.rs"]
mod repeats;

use coder::{Decoder, Encoder};

/// Bytes that are coded at once, at most.
const MOST: usize = 1 << 16;

static mut BYTES: [u8; MOST] = [0; MOST];
static mut ENCODER: Encoder = Encoder::new();
static mut DECODER: Decoder = Decoder::new();
/// Where compressed bytes are, and for how many there is room.
static mut CODED: *mut u8 = core::ptr::null_mut();
static mut ROOM: usize = 0;

#[no_mangle]
pub unsafe extern "C" fn start() {
    logistic::start();
    histories::start();
    predictor::start();
}

/// The next bytes that are coded, or the last ones that were decoded.
#[no_mangle]
pub unsafe extern "C" fn bytes() -> *mut u8 {
    BYTES.as_mut_ptr()
}

/// Memory for `size` compressed bytes.
#[no_mangle]
pub unsafe extern "C" fn coded(size: usize) -> *mut u8 {
    if CODED.is_null() {
        CODED = memory::allocate(size);
        ROOM = size;
    } else if size > ROOM {
        memory::extend(size - ROOM);
        ROOM = size;
    }
    CODED
}

/// A run of the range coder begins. The models stay as they are.
#[no_mangle]
pub unsafe extern "C" fn begin_encoding() {
    ENCODER = Encoder::new();
}

/// Appends the next `size` bytes, at most MOST, to the compressed ones.
#[no_mangle]
pub unsafe extern "C" fn encode(size: usize) {
    for i in 0..size {
        predictor::code(&mut ENCODER, BYTES[i] as u32);
    }
}

/// Ends a run. Returns the number of its compressed bytes.
#[no_mangle]
pub unsafe extern "C" fn end_encoding() -> usize {
    ENCODER.finish()
}

/// A run of `size` compressed bytes begins.
#[no_mangle]
pub unsafe extern "C" fn begin_decoding(size: usize) {
    DECODER = Decoder::new();
    DECODER.start(size);
}

/// Decodes the next `size` bytes, at most MOST.
#[no_mangle]
pub unsafe extern "C" fn decode(size: usize) {
    for i in 0..size {
        BYTES[i] = predictor::code(&mut DECODER, 0) as u8;
    }
}

/// Whether the run has as many bytes as were needed.
#[no_mangle]
pub unsafe extern "C" fn is_sound() -> u32 {
    DECODER.is_sound() as u32
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
