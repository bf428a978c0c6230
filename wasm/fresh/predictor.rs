//! Codes bytes, each bit by its prediction.
use crate::coder::Coder;
use crate::contexts::{contexts, mixed, word_with, CONTEXTS, HISTORY, MASK};
use crate::histories::{first_probability, next, HISTORIES};
use crate::logistic::{squash, stretch};
use crate::mixer::{self, learn, mix};
use crate::repeats::Repeat;
use core::arch::wasm32::{i32x4, i32x4_splat};

/// Each context has so many slots, as a power of 2: for half a byte a check and the histories of its bits.
const SLOT_BITS: u32 = 15;
const SLOT: usize = 16;
/// Slots where the bits of a context may be.
const PLACES: usize = 3;

/// Of models: a probability of 22 bits, and below it how many bits it has seen.
const COUNT_BITS: u32 = 10;
const COUNT_MASK: u32 = (1 << COUNT_BITS) - 1;
const MOST_COUNTED: u32 = 255;
pub const NEW_MODEL: u32 = 1 << 31;

/// Steps of a stretched probability that have a correction of their own.
const STEPS: usize = 33;
const PAIR_BITS: u32 = 14;
const CORRECTION_SHIFT: u32 = 6;

#[repr(align(64))]
struct Slots([[[u8; SLOT]; 1 << SLOT_BITS]; CONTEXTS]);

static mut SLOTS: Slots = Slots([[[0; SLOT]; 1 << SLOT_BITS]; CONTEXTS]);
static mut MODELS: [[u32; HISTORIES]; CONTEXTS] = [[0; HISTORIES]; CONTEXTS];
static mut RATES: [i32; MOST_COUNTED as usize + 1] = [0; MOST_COUNTED as usize + 1];
/// Corrections of probabilities by the byte so far, and by it and the two bytes before.
static mut BY_BYTE: [[u16; STEPS]; 256] = [[0; STEPS]; 256];
static mut BY_PAIR: [[u16; STEPS]; 1 << PAIR_BITS] = [[0; STEPS]; 1 << PAIR_BITS];
static mut LONG: Repeat<7> = Repeat::EMPTY;
static mut SHORT: Repeat<4> = Repeat::EMPTY;

static mut SIZE: u32 = 0;
static mut WORD: u32 = 0;
/// The last eight bytes, the last one lowest.
static mut LAST: u64 = 0;

pub unsafe fn start() {
    mixer::start();
    for (i, rate) in RATES.iter_mut().enumerate() {
        *rate = 131072 / (2 * i as i32 + 3);
    }
    for history in 0..HISTORIES {
        for models in MODELS.iter_mut() {
            models[history] = first_probability(history) << 16;
        }
    }
    for corrections in BY_BYTE.iter_mut().chain(BY_PAIR.iter_mut()) {
        for (i, correction) in corrections.iter_mut().enumerate() {
            *correction = squash((128 * i as i32 - 2048).clamp(-2047, 2047)) as u16;
        }
    }
    LONG.start();
    SHORT.start();
}

#[inline(always)]
pub fn adapt(model: &mut u32, bit: u32) {
    let count = *model & COUNT_MASK;
    let probability = (*model >> COUNT_BITS) as i32;
    let goal = (bit << 22) as i32 - bit as i32;
    let moved = probability + ((((goal - probability) >> 7) * unsafe { *RATES.get_unchecked(count as usize) }) >> 9);
    *model = ((moved as u32) << COUNT_BITS) | (count + 1).min(MOST_COUNTED);
}

/// Codes a byte in either direction.
pub unsafe fn code(coder: &mut impl Coder, given: u32) -> u32 {
    let last = LAST as u32;
    let hashes = contexts(last, (LAST >> 32) as u32, WORD, SIZE).map(|context| mixed(context, 1));
    let mut slots = [core::ptr::null_mut(); CONTEXTS];
    let mut node = 1;
    for bits in (1..=8).rev() {
        if bits & 3 == 0 {
            for i in 0..CONTEXTS {
                slots[i] = slot(i, mixed(hashes[i], node));
            }
        }
        let inner = if bits > 4 { node } else { (1 << (4 - bits)) | (node & ((1 << (4 - bits)) - 1)) } as usize;
        node = 2 * node + bit(coder, &slots, inner, node, bits, (given >> (bits - 1)) & 1);
    }
    append(node & 255);
    node & 255
}

/// `inner` is the half of the byte so far, and `node` all of it, each behind a 1.
#[inline(always)]
unsafe fn bit(
    coder: &mut impl Coder,
    slots: &[*mut u8; CONTEXTS],
    inner: usize,
    node: u32,
    bits: u32,
    given: u32,
) -> u32 {
    let mut inputs = [i32x4_splat(0); CONTEXTS / 2 + 1];
    for i in 0..CONTEXTS / 2 {
        let [(a, b), (c, d)] = [2 * i, 2 * i + 1].map(|context| predictions(slots[context], inner, context));
        inputs[i] = i32x4(a, b, c, d);
    }
    let [long, short] = [LONG.model(node, bits), SHORT.model(node, bits)]
        .map(|model| model.map_or(0, |model| stretch(model >> 20)));
    inputs[CONTEXTS / 2] = i32x4(long, short, 256, 0);
    let [last, before] = [LAST as usize & 255, (LAST >> 8) as usize & 255];
    let length = LONG.length();
    let kind = (length > 0) as usize + (length > 15) as usize;
    let near = if length > 0 { 1 + (length / 4).min(6) as usize } else { 0 };
    let mixed_bit = mix(&inputs, [node as usize, 256 * kind + last, 256 * near + before], last);

    let place = (mixed_bit.result + 2048) as usize;
    let (step, part) = (place >> 7, place as u32 & 127);
    let pair = (mixed(LAST as u32 & 0xffff, node) >> (32 - PAIR_BITS)) as usize;
    let by_byte = &mut BY_BYTE[node as usize];
    let by_pair = BY_PAIR.get_unchecked_mut(pair);
    let between = |corrections: &[u16; STEPS]| {
        (corrections[step] as u32 * (128 - part) + corrections[step + 1] as u32 * part) >> 7
    };
    let corrected = (mixed_bit.probability as u32 + between(by_byte) + 2 * between(by_pair)) >> 2;
    let bit = coder.bit(corrected, given);

    learn(&mixed_bit, &inputs, bit);
    let nearest = step + (part >> 6) as usize;
    let actual = (bit << 16) as i32 - bit as i32;
    for correction in [&mut by_byte[nearest], &mut by_pair[nearest]] {
        *correction = (*correction as i32 + ((actual - *correction as i32) >> CORRECTION_SHIFT)) as u16;
    }
    for i in 0..CONTEXTS {
        let history = slots[i].add(inner);
        adapt(MODELS.get_unchecked_mut(i).get_unchecked_mut(*history as usize), bit);
        *history = next(*history, bit);
    }
    LONG.learn(bit);
    SHORT.learn(bit);
    bit
}

/// Of a context: its stretched prediction, and how far it is from 1/2.
#[inline(always)]
unsafe fn predictions(slot: *const u8, inner: usize, context: usize) -> (i32, i32) {
    let history = *slot.add(inner) as usize;
    // a context that was never seen predicts nothing
    if history == 0 {
        return (0, 0);
    }
    let probability = *MODELS.get_unchecked(context).get_unchecked(history) >> 20;
    (stretch(probability), (probability as i32 - 2048) >> 1)
}

/// The slot of a context and half a byte: that with its check, else the one that has seen least, emptied.
#[inline(always)]
unsafe fn slot(context: usize, hash: u32) -> *mut u8 {
    let check = (hash >> 24) as u8 | 1;
    let base = (hash & ((1 << SLOT_BITS) - 1)) as usize;
    let slots = SLOTS.0.get_unchecked_mut(context);
    let mut least = base;
    let mut least_seen = u32::MAX;
    for i in 0..PLACES {
        let found = slots.get_unchecked(base ^ i);
        if found[0] == check {
            return slots.get_unchecked_mut(base ^ i).as_mut_ptr();
        }
        let seen = if found[0] == 0 { 0 } else { found[1] as u32 + 1 };
        if seen < least_seen {
            (least, least_seen) = (base ^ i, seen);
        }
    }
    let found = slots.get_unchecked_mut(least);
    *found = [0; SLOT];
    found[0] = check;
    found.as_mut_ptr()
}

unsafe fn append(byte: u32) {
    HISTORY[(SIZE & MASK) as usize] = byte as u8;
    SIZE = SIZE.wrapping_add(1);
    LAST = (LAST << 8) | byte as u64;
    WORD = word_with(WORD, byte);
    LONG.append(SIZE, LAST);
    SHORT.append(SIZE, LAST);
}
