//! The encoder and the decoder of LZMA for `lib/compression/lzma`. An instance serves one of either.
#![no_std]
#![allow(static_mut_refs)]

#[path = "lzma/decoder.rs"]
mod decoder;
#[path = "lzma/encoder.rs"]
mod encoder;
#[path = "lzma/finder.rs"]
mod finder;
#[path = "lzma/lazy.rs"]
mod lazy;
#[path = "memory.rs"]
mod memory;
#[path = "lzma/model.rs"]
mod model;
#[path = "lzma/optimal.rs"]
mod optimal;
#[path = "lzma/prices.rs"]
mod prices;
#[path = "lzma/range.rs"]
mod range;
#[path = "lzma/symbols.rs"]
mod symbols;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
