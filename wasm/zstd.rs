//! The match finder of `lib/compression/zstd/match.ts`, which has its comments on the original program: klauspost/compress at
//! its default level (zstd/enc_dfast.go). An instance serves one encoder.
#![no_std]
#![allow(static_mut_refs)]

use core::ptr::{addr_of, addr_of_mut};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const BLOCK_SIZE: usize = 128 * 1024;
const MAX_SEQUENCES: usize = BLOCK_SIZE / 4 + 1;
const WINDOW_SIZE: i32 = 8 * 1024 * 1024;
const HISTORY_SIZE: i32 = 2 * WINDOW_SIZE;
/// Zeros after the text, so that a word can be read at each of its bytes.
const MARGIN: usize = 16;
const LONG_BITS: u32 = 17;
const SHORT_BITS: u32 = 15;
const INPUT_MARGIN: i32 = 10;
const MIN_SEARCHED: i32 = 16;
/// The search skips more literals the longer it finds no match.
const SEARCH_SHIFT: i32 = 7;
const MAX_POSITION: i32 = i32::MAX - 2 * WINDOW_SIZE;
const PRIME5: u64 = 889523592379;
const PRIME8: u64 = 0xcf1bbcdcb7a56463;

/// A position + `CURRENT`, so that empty entries are out of reach, and the four bytes there.
#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    position: i32,
    value: u32,
}

const NONE: Entry = Entry { position: 0, value: 0 };

static mut HISTORY: [u8; HISTORY_SIZE as usize + MARGIN] = [0; HISTORY_SIZE as usize + MARGIN];
static mut LONG: [Entry; 1 << LONG_BITS] = [NONE; 1 << LONG_BITS];
static mut SHORT: [Entry; 1 << SHORT_BITS] = [NONE; 1 << SHORT_BITS];
static mut LITERALS: [u8; BLOCK_SIZE + MARGIN] = [0; BLOCK_SIZE + MARGIN];
static mut LIT_LENGTHS: [i32; MAX_SEQUENCES] = [0; MAX_SEQUENCES];
static mut MATCH_LENGTHS: [i32; MAX_SEQUENCES] = [0; MAX_SEQUENCES];
static mut OFFSETS: [i32; MAX_SEQUENCES] = [0; MAX_SEQUENCES];
static mut SIZE: i32 = 0;
static mut CURRENT: i32 = WINDOW_SIZE;
/// Hash of the bytes two after the last inserted position.
static mut ALONE_HASH: usize = 0;
/// Of literals and sequences.
static mut COUNTS: [i32; 2] = [0; 2];

#[no_mangle]
pub extern "C" fn literals() -> *const u8 {
    addr_of!(LITERALS) as *const u8
}

#[no_mangle]
pub extern "C" fn lit_lengths() -> *const i32 {
    addr_of!(LIT_LENGTHS) as *const i32
}

#[no_mangle]
pub extern "C" fn match_lengths() -> *const i32 {
    addr_of!(MATCH_LENGTHS) as *const i32
}

#[no_mangle]
pub extern "C" fn offsets() -> *const i32 {
    addr_of!(OFFSETS) as *const i32
}

#[no_mangle]
pub extern "C" fn counts() -> *const i32 {
    addr_of!(COUNTS) as *const i32
}

#[inline(always)]
unsafe fn text(at: i32) -> *mut u8 {
    (addr_of_mut!(HISTORY) as *mut u8).offset(at as isize)
}

#[inline(always)]
unsafe fn load32(at: i32) -> u32 {
    (text(at) as *const u32).read_unaligned()
}

#[inline(always)]
unsafe fn load64(at: i32) -> u64 {
    (text(at) as *const u64).read_unaligned()
}

/// Number of equal bytes, at most `most`. May read seven bytes beyond.
#[inline(always)]
unsafe fn common_length(a: i32, b: i32, most: i32) -> i32 {
    let mut n = 0;
    while n < most {
        let difference = load64(a + n) ^ load64(b + n);
        if difference != 0 {
            n += (difference.trailing_zeros() >> 3) as i32;
            break;
        }
        n += 8;
    }
    if n < most { n } else { most }
}

#[inline(always)]
fn long_hash(word: u64) -> usize {
    (word.wrapping_mul(PRIME8) >> (64 - LONG_BITS)) as usize
}

#[inline(always)]
fn short_hash(word: u64) -> usize {
    ((word << 24).wrapping_mul(PRIME5) >> (64 - SHORT_BITS)) as usize
}

#[inline(always)]
unsafe fn long(hash: usize) -> *mut Entry {
    (addr_of_mut!(LONG) as *mut Entry).add(hash)
}

#[inline(always)]
unsafe fn short(hash: usize) -> *mut Entry {
    (addr_of_mut!(SHORT) as *mut Entry).add(hash)
}

unsafe fn restart() {
    let minimum = CURRENT + SIZE - WINDOW_SIZE;
    for entry in LONG.iter_mut().chain(SHORT.iter_mut()) {
        entry.position = if entry.position < minimum { 0 } else { entry.position - CURRENT + WINDOW_SIZE };
    }
    CURRENT = WINDOW_SIZE;
}

/// Makes room for a block. Returns the address where it is to be put before `search`.
#[no_mangle]
pub unsafe extern "C" fn room(size: i32) -> *const u8 {
    if CURRENT >= MAX_POSITION - SIZE {
        restart();
    }
    if SIZE + size > HISTORY_SIZE {
        let moved = SIZE - WINDOW_SIZE;
        core::ptr::copy(text(moved), text(0), WINDOW_SIZE as usize);
        CURRENT += moved;
        SIZE = WINDOW_SIZE;
    }
    text(SIZE)
}

struct Content {
    literals: i32,
    sequences: i32,
}

impl Content {
    #[inline(always)]
    unsafe fn add_literals(&mut self, from: i32, to: i32) {
        let size = (to - from) as usize;
        let place = (addr_of_mut!(LITERALS) as *mut u8).offset(self.literals as isize);
        if size <= 8 {
            // room for a whole word is behind the literals
            (place as *mut u64).write_unaligned(load64(from));
        } else {
            core::ptr::copy_nonoverlapping(text(from), place, size);
        }
        self.literals += to - from;
    }

    #[inline(always)]
    unsafe fn add_sequence(&mut self, lit_length: i32, match_length: i32, offset: i32) {
        let at = self.sequences as usize;
        *(addr_of_mut!(LIT_LENGTHS) as *mut i32).add(at) = lit_length;
        *(addr_of_mut!(MATCH_LENGTHS) as *mut i32).add(at) = match_length - 3;
        *(addr_of_mut!(OFFSETS) as *mut i32).add(at) = offset;
        self.sequences += 1;
    }
}

/// Finds the literals and sequences of the block that was put behind the history.
#[no_mangle]
pub unsafe extern "C" fn search(size: i32, is_alone: i32) {
    let s = SIZE;
    SIZE += size;
    let mut content = Content { literals: 0, sequences: 0 };
    if size < MIN_SEARCHED {
        content.add_literals(s, SIZE);
    } else {
        search_block(&mut content, s, SIZE, CURRENT, is_alone != 0);
    }
    COUNTS = [content.literals, content.sequences];
}

#[inline(always)]
unsafe fn search_block(content: &mut Content, start: i32, end: i32, current: i32, is_alone: bool) {
    let mut s = start;
    let limit = end - INPUT_MARGIN;
    let mut next_emit = s;
    let mut offset1 = 1;
    let mut offset2;
    'block: loop {
        let mut t;
        let can_repeat = content.sequences > 2;
        loop {
            let word = load64(s);
            let low = word as u32;
            let long_entry = long(long_hash(word));
            let short_entry = short(short_hash(word));
            let long_found = *long_entry;
            let short_found = *short_entry;
            let long_candidate = long_found.position - current;
            let is_long = long_found.value == low && s - long_candidate < WINDOW_SIZE;
            let short_candidate = short_found.position - current;
            let is_short = short_found.value == low && s - short_candidate < WINDOW_SIZE;
            *long_entry = Entry { position: s + current, value: low };
            *short_entry = Entry { position: s + current, value: low };
            if can_repeat {
                let mut from = s - offset1 + 1;
                if from >= 0 && load32(from) == (word >> 8) as u32 {
                    let length = 4 + common_length(s + 5, from + 4, end - s - 5);
                    let mut start = s + 1;
                    let first = (s - WINDOW_SIZE).max(0);
                    // keep one literal
                    while from > first && start > next_emit + 1 && *text(from - 1) == *text(start - 1) {
                        from -= 1;
                        start -= 1;
                    }
                    s += length + 1;
                    content.add_literals(next_emit, start);
                    content.add_sequence(start - next_emit, s - start, 1);
                    next_emit = s;
                    if s >= limit {
                        break 'block;
                    }
                    continue;
                }
            }
            if is_long {
                t = long_candidate;
                break;
            }
            if is_short {
                let next_word = load64(s + 1);
                let next_low = next_word as u32;
                let next_entry = long(long_hash(next_word));
                let next_found = *next_entry;
                let next_candidate = next_found.position - current;
                let is_next = next_found.value == next_low && s + 1 - next_candidate < WINDOW_SIZE;
                *next_entry = Entry { position: s + 1 + current, value: next_low };
                if is_next {
                    s += 1;
                }
                t = if is_next { next_candidate } else { short_candidate };
                break;
            }
            s += 1 + ((s - next_emit) >> SEARCH_SHIFT);
            if s >= limit {
                break 'block;
            }
        }
        offset2 = offset1;
        offset1 = s - t;
        let mut length = common_length(s + 4, t + 4, end - s - 4) + 4;
        let first = (s - WINDOW_SIZE).max(0);
        while t > first && s > next_emit && *text(t - 1) == *text(s - 1) {
            s -= 1;
            t -= 1;
            length += 1;
        }
        content.add_literals(next_emit, s);
        content.add_sequence(s - next_emit, length, s - t + 3);
        s += length;
        next_emit = s;
        if s >= limit {
            break;
        }
        insert(s - length + 1, current);
        insert(s - 2, current);
        if !can_repeat && !(is_alone && content.sequences > 2) {
            continue;
        }
        loop {
            let from = s - offset2;
            let word = load64(s);
            let low = word as u32;
            if load32(from) != low {
                break;
            }
            // the original uses a stale hash in a frame's only block
            let short_hash = if is_alone { ALONE_HASH } else { short_hash(word) };
            let repeated = 4 + common_length(s + 4, from + 4, end - s - 4);
            *long(long_hash(word)) = Entry { position: s + current, value: low };
            *short(short_hash) = Entry { position: s + current, value: low };
            content.add_sequence(0, repeated, 1);
            s += repeated;
            next_emit = s;
            core::mem::swap(&mut offset1, &mut offset2);
            if s >= limit {
                break 'block;
            }
        }
    }
    content.add_literals(next_emit, end);
}

/// Inserts a position into the long table, and the next one into the short table.
#[inline(always)]
unsafe fn insert(at: i32, current: i32) {
    let word = load64(at);
    *long(long_hash(word)) = Entry { position: at + current, value: word as u32 };
    let next = word >> 8;
    *short(short_hash(next)) = Entry { position: at + 1 + current, value: next as u32 };
    ALONE_HASH = short_hash(word >> 16);
}
