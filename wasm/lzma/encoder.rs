//! Compresses chunks of LZMA2 (`lib/compression/lzma/lzma2encoder.ts`).
use super::finder::{Finder, MIN_HASHED};
use super::lazy::LazyParser;
use super::memory::allocate;
use super::model::*;
use super::optimal::{OptimalParser, NODES};
use super::range::RangeEncoder;
use super::symbols::{Symbol, SymbolCoder};

const MAX_CHUNK_OUTPUT: usize = 1 << 16;
const MAX_CHUNK_INPUT: u32 = 1 << 21;
/// Upper bounds of the input and output of one parse, in bytes.
const PARSED_INPUT: u32 = 1 << 11;
const PARSED_OUTPUT: usize = 1 << 14;
/// After the text, so that a word can be read at each of its bytes.
const TEXT_MARGIN: usize = 8;

struct Encoder {
    finder: Finder,
    coder: SymbolCoder,
    /// The coder before the last chunk.
    saved: SymbolCoder,
    nice_length: u32,
    is_optimal: bool,
    optimal: OptimalParser,
    lazy: LazyParser,
    symbols: [Symbol; NODES],
    output: [u8; MAX_CHUNK_OUTPUT],
    output_size: usize,
}

static mut ENCODER: *mut Encoder = core::ptr::null_mut();

/// Returns where the text goes: `size` bytes.
///
/// `window`: maximum distance of a match in bytes, below 16 MiB. `row_count_bits`: logarithm of the number of the match
/// finder's rows. `positions` of the whole stream, if it is known: with few of them, only the rows that they use take
/// memory.
#[no_mangle]
pub unsafe extern "C" fn encoder_start(
    size: usize,
    window: u32,
    row_count_bits: u32,
    depth: u32,
    positions: u32,
    lc: u32,
    lp: u32,
    pb: u32,
    nice_length: u32,
    is_optimal: bool,
) -> *const u8 {
    ENCODER = allocate(core::mem::size_of::<Encoder>()) as *mut Encoder;
    let text = allocate(size + TEXT_MARGIN);
    let encoder = &mut *ENCODER;
    core::ptr::write(&mut encoder.finder, Finder::new(text, window, row_count_bits, depth, positions));
    core::ptr::write(&mut encoder.lazy, LazyParser::new());
    encoder.coder.properties = Properties { lc, lp, pb };
    encoder.nice_length = nice_length;
    encoder.is_optimal = is_optimal;
    text
}

/// Starts a piece with initial probabilities.
#[no_mangle]
pub unsafe extern "C" fn encoder_reset() {
    let encoder = &mut *ENCODER;
    encoder.coder.reset();
    encoder.lazy.reset();
    encoder.optimal.symbols_until_update = 0;
}

/// Enters the text up to `end` into the match finder.
#[no_mangle]
pub unsafe extern "C" fn encoder_enter(end: u32) {
    (*ENCODER).finder.enter_until((end + 1).saturating_sub(MIN_HASHED));
}

/// Adapts to a move of the text by `distance` towards its start.
#[no_mangle]
pub unsafe extern "C" fn encoder_move(distance: u32) {
    (*ENCODER).finder.move_by(distance);
}

/// Compresses the text from `start` on, at most to `end`, as one chunk. Returns its end.
#[no_mangle]
pub unsafe extern "C" fn encoder_chunk(start: u32, end: u32) -> u32 {
    let encoder = &mut *ENCODER;
    encoder.saved = encoder.coder;
    let output = encoder.output.as_mut_ptr();
    let mut range = RangeEncoder::start(output);
    let mut at = start;
    while at < end
        && at - start < MAX_CHUNK_INPUT - PARSED_INPUT
        && range.at < output.add(MAX_CHUNK_OUTPUT - PARSED_OUTPUT)
    {
        let Encoder { finder, coder, nice_length, symbols, .. } = encoder;
        let symbols = symbols.as_mut_ptr();
        let count = if encoder.is_optimal {
            encoder.optimal.parse(finder, coder, *nice_length, at, end, symbols)
        } else {
            encoder.lazy.parse(finder, coder, *nice_length, at, end, symbols)
        };
        at = code(coder, &mut range, finder.text, at, core::slice::from_raw_parts(symbols, count));
    }
    range.finish();
    encoder.output_size = range.at.offset_from(output) as usize;
    at
}

#[inline(never)]
unsafe fn code(
    coder: &mut SymbolCoder,
    range: &mut RangeEncoder,
    text: *const u8,
    mut at: u32,
    symbols: &[Symbol],
) -> u32 {
    let mut local = *range;
    for symbol in symbols {
        coder.code(&mut local, text, at, *symbol);
        at += symbol.length;
    }
    *range = local;
    at
}

/// The compressed bytes of the last chunk.
#[no_mangle]
pub unsafe extern "C" fn encoder_output() -> *const u8 {
    (*ENCODER).output.as_ptr()
}

#[no_mangle]
pub unsafe extern "C" fn encoder_output_size() -> usize {
    (*ENCODER).output_size
}

/// Goes back to the state before the last chunk, which is to be stored.
#[no_mangle]
pub unsafe extern "C" fn encoder_restore() {
    (*ENCODER).coder = (*ENCODER).saved;
}
