//! Decodes LZMA into a dictionary, which is a ring buffer. Safe for any input: it accesses only its arrays, stops at the
//! requested length, and reports at the end whether the chunk was sound.
use super::memory::{allocate, extend, load64};
use super::model::*;

const MAX_CHUNK: usize = 1 << 16;
/// Of a dictionary, in bytes.
const INITIAL_SIZE: u32 = 1 << 14;

struct Decoder {
    probabilities: [u16; PROBABILITIES],
    properties: Properties,
    state: u32,
    reps: [u32; 4],
    /// Remaining bytes of the current match.
    match_left: u32,
    range: Range,
    /// Whether no distance pointed outside the dictionary.
    is_inside: bool,
    /// Grows up to `max_size`: most streams are shorter, and memory costs time.
    dictionary: *mut u8,
    size: u32,
    max_size: u32,
    /// Index of the next byte in the dictionary.
    position: u32,
    /// Number of bytes before the position that may be copied.
    filled: u32,
    chunk: [u8; MAX_CHUNK],
}

#[derive(Clone, Copy)]
struct Range {
    range: u32,
    code: u32,
    /// Index of the next byte of the chunk; may go beyond its end, where all bytes are 0.
    at: u32,
    chunk: *const u8,
    size: u32,
}

impl Range {
    /// Range and code after a bit; the next byte if the range is small.
    #[inline(always)]
    unsafe fn normalize(&mut self) {
        if self.range < TOP {
            let next = if self.at < self.size { *self.chunk.add(self.at as usize) } else { 0 };
            self.range <<= 8;
            self.code = (self.code << 8) | next as u32;
            self.at += 1;
        }
    }

    #[inline(always)]
    unsafe fn bit(&mut self, probability: *mut u16) -> bool {
        let p = *probability as u32;
        let bound = (self.range >> PROBABILITY_BITS) * p;
        let is_one = self.code >= bound;
        if is_one {
            self.range -= bound;
            self.code -= bound;
            *probability = (p - (p >> RATE)) as u16;
        } else {
            self.range = bound;
            *probability = (p + ((TOTAL - p) >> RATE)) as u16;
        }
        self.normalize();
        is_one
    }

    /// A symbol of `count` bits, highest first, and a 1 before them.
    #[inline(always)]
    unsafe fn tree(&mut self, tree: *mut u16, count: u32) -> u32 {
        let mut symbol = 1;
        for _ in 0..count {
            symbol = (symbol << 1) | self.bit(tree.add(symbol as usize)) as u32;
        }
        symbol
    }

    /// `count` bits, lowest first.
    #[inline(always)]
    unsafe fn reverse_tree(&mut self, tree: *mut u16, count: u32) -> u32 {
        let mut value = 0;
        let mut symbol = 1;
        for i in 0..count {
            let bit = self.bit(tree.add(symbol)) as u32;
            symbol = (symbol << 1) | bit as usize;
            value |= bit << i;
        }
        value
    }

    /// `count` bits of probability 1/2, highest first.
    #[inline(always)]
    unsafe fn direct(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            self.range >>= 1;
            let is_one = self.code >= self.range;
            self.code -= if is_one { self.range } else { 0 };
            value = (value << 1) | is_one as u32;
            self.normalize();
        }
        value
    }
}

static mut DECODER: *mut Decoder = core::ptr::null_mut();

/// `max_size` of the dictionary in bytes, a multiple of 16.
#[no_mangle]
pub unsafe extern "C" fn decoder_start(max_size: u32) {
    DECODER = allocate(core::mem::size_of::<Decoder>()) as *mut Decoder;
    let decoder = &mut *DECODER;
    decoder.max_size = max_size;
    decoder.size = max_size.min(INITIAL_SIZE);
    // the last allocation, so that it can be extended
    decoder.dictionary = allocate(decoder.size as usize);
}

#[no_mangle]
pub unsafe extern "C" fn decoder_reset_dictionary() {
    let decoder = &mut *DECODER;
    decoder.position = 0;
    decoder.filled = 0;
    // the first literal's context is the byte at the other end of the ring
    *decoder.dictionary.add(decoder.size as usize - 1) = 0;
}

/// Initial probabilities for the present properties.
#[no_mangle]
pub unsafe extern "C" fn decoder_reset_state() {
    let decoder = &mut *DECODER;
    decoder.probabilities.fill(HALF);
    decoder.state = 0;
    decoder.reps = [0; 4];
    decoder.match_left = 0;
}

#[no_mangle]
pub unsafe extern "C" fn decoder_set_properties(lc: u32, lp: u32, pb: u32) {
    (*DECODER).properties = Properties { lc, lp, pb };
}

/// Where a compressed chunk goes: at most 64 KiB.
#[no_mangle]
pub unsafe extern "C" fn decoder_chunk() -> *const u8 {
    (*DECODER).chunk.as_ptr()
}

/// Starts on a chunk of at least 5 compressed bytes.
#[no_mangle]
pub unsafe extern "C" fn decoder_start_chunk(size: u32) {
    let decoder = &mut *DECODER;
    let [first, a, b, c, d] = *(decoder.chunk.as_ptr() as *const [u8; 5]);
    let code = u32::from_be_bytes([a, b, c, d]);
    decoder.range = Range { range: u32::MAX, code, at: 5, chunk: decoder.chunk.as_ptr(), size };
    decoder.is_inside = first == 0;
}

/// Whether decoding used all bytes of the chunk and no distance pointed outside the dictionary.
#[no_mangle]
pub unsafe extern "C" fn decoder_is_sound() -> bool {
    let Decoder { range, is_inside, match_left, .. } = &*DECODER;
    *is_inside && range.at == range.size && range.code == 0 && *match_left == 0
}

/// Where the next byte goes.
#[no_mangle]
pub unsafe extern "C" fn decoder_position() -> *const u8 {
    (*DECODER).dictionary.add((*DECODER).position as usize)
}

/// Bytes from the position to the end of the dictionary, where it grows or wraps around.
#[no_mangle]
pub unsafe extern "C" fn decoder_room() -> u32 {
    (*DECODER).size - (*DECODER).position
}

/// Advances by `count` bytes, at most those of the room.
#[no_mangle]
pub unsafe extern "C" fn decoder_advance(count: u32) {
    let decoder = &mut *DECODER;
    decoder.filled = (decoder.filled + count).min(decoder.max_size);
    decoder.position += count;
    if decoder.position < decoder.size {
        return;
    }
    if decoder.size == decoder.max_size {
        decoder.position = 0;
    } else {
        let size = decoder.max_size.min(2 * decoder.size);
        extend((size - decoder.size) as usize);
        decoder.size = size;
    }
}

/// Decodes `count` bytes, at most those of the room, and does not advance.
#[no_mangle]
pub unsafe extern "C" fn decoder_run(count: u32) {
    let decoder = &mut *DECODER;
    let Decoder { properties, dictionary, size, .. } = *decoder;
    let probabilities = decoder.probabilities.as_mut_ptr();
    let available = decoder.filled - decoder.position;
    let end = decoder.position + count;
    let mut position = decoder.position;
    let mut range = decoder.range;
    let mut state = decoder.state;
    let [mut rep0, mut rep1, mut rep2, mut rep3] = decoder.reps;
    let mut length = decoder.match_left;
    let mut is_inside = decoder.is_inside;
    loop {
        if length > 0 {
            let count = length.min(end - position);
            copy(dictionary, size, position, rep0, count);
            position += count;
            length -= count;
        }
        if position >= end {
            break;
        }
        let position_state = properties.position_state(position);

        // literal or match
        if !range.bit(probabilities.add(is_match(state, position_state))) {
            let previous = *dictionary.add((if position == 0 { size } else { position }) as usize - 1);
            let base = probabilities.add(properties.literal_base(position, previous));
            let mut symbol = 1;
            if state >= LITERAL_STATES {
                // after a match, the byte at its distance predicts the literal up to the first bit that differs
                let expected = *dictionary.add(before(position, rep0, size) as usize) as u32;
                let mut offset = 0x100;
                let mut bits = expected;
                while symbol < 0x100 {
                    bits <<= 1;
                    let predicted = offset & bits;
                    let bit = range.bit(base.add((offset + predicted + symbol) as usize)) as u32;
                    offset &= !(predicted ^ (bit << 8));
                    symbol = (symbol << 1) | bit;
                }
            } else {
                symbol = range.tree(base, 8);
            }
            *dictionary.add(position as usize) = symbol as u8;
            position += 1;
            state = after_literal(state);
            continue;
        }

        let state_index = state as usize;
        if !range.bit(probabilities.add(IS_REP + state_index)) {
            // a new distance
            length = read_length(&mut range, probabilities.add(MATCH_LENGTH), position_state);
            state = after_match(state);
            let tree = probabilities.add(SLOT + ((length_state(length) as usize) << 6));
            let slot = range.tree(tree, 6) - 64;
            let mut distance = slot;
            if slot >= 4 {
                let bits = (slot >> 1) - 1;
                distance = (2 | (slot & 1)) << bits;
                if slot < FIRST_DIRECT_SLOT {
                    let tree = probabilities.add(SPECIAL + (distance - slot) as usize);
                    distance += range.reverse_tree(tree, bits);
                } else {
                    distance += range.direct(bits - ALIGN_BITS) << ALIGN_BITS;
                    distance += range.reverse_tree(probabilities.add(ALIGN), ALIGN_BITS);
                }
            }
            rep3 = rep2;
            rep2 = rep1;
            rep1 = rep0;
            rep0 = distance;
        } else {
            // one of the last four
            if !range.bit(probabilities.add(IS_REP0 + state_index)) {
                if !range.bit(probabilities.add(is_rep0_long(state, position_state))) {
                    state = after_short_rep(state);
                    length = 1;
                    is_inside &= rep0 < position + available;
                    continue;
                }
            } else {
                let distance;
                if !range.bit(probabilities.add(IS_REP1 + state_index)) {
                    distance = rep1;
                } else {
                    if !range.bit(probabilities.add(IS_REP2 + state_index)) {
                        distance = rep2;
                    } else {
                        distance = rep3;
                        rep3 = rep2;
                    }
                    rep2 = rep1;
                }
                rep1 = rep0;
                rep0 = distance;
            }
            length = read_length(&mut range, probabilities.add(REP_LENGTH), position_state);
            state = after_rep(state);
        }
        if rep0 >= size.min(position + available) {
            is_inside = false;
            rep0 = 0;
        }
    }
    decoder.range = range;
    decoder.state = state;
    decoder.reps = [rep0, rep1, rep2, rep3];
    decoder.match_left = length;
    decoder.is_inside = is_inside;
}

#[inline(always)]
unsafe fn read_length(range: &mut Range, coder: *mut u16, position_state: u32) -> u32 {
    let trees = (position_state as usize) << 3;
    if !range.bit(coder) {
        range.tree(coder.add(LENGTH_LOW + trees), 3) - 8 + MIN_MATCH
    } else if !range.bit(coder.add(1)) {
        range.tree(coder.add(LENGTH_MIDDLE + trees), 3) + MIN_MATCH
    } else {
        range.tree(coder.add(LENGTH_HIGH), 8) - 256 + 16 + MIN_MATCH
    }
}

/// Index of the byte at a distance, which is minus one, before a position.
#[inline(always)]
fn before(position: u32, distance: u32, size: u32) -> u32 {
    if distance < position { position - distance - 1 } else { position + size - distance - 1 }
}

/// Copies a match byte by byte, as later bytes may be copies of its first ones.
#[inline(always)]
unsafe fn copy(dictionary: *mut u8, size: u32, position: u32, distance: u32, count: u32) {
    let from = before(position, distance, size);
    let mut target = dictionary.add(position as usize);
    let mut source = dictionary.add(from as usize) as *const u8;
    let mut left = count;
    let is_straight = from + count <= size;
    if is_straight && distance >= 7 {
        while left >= 8 {
            (target as *mut u64).write_unaligned(load64(source));
            target = target.add(8);
            source = source.add(8);
            left -= 8;
        }
    }
    let stop = dictionary.add(size as usize) as *const u8;
    while left > 0 {
        *target = *source;
        target = target.add(1);
        source = source.add(1);
        if source == stop {
            source = dictionary;
        }
        left -= 1;
    }
}
