//! Match finders of the encoders in `lib/compression/go` and `lib/compression/zlib`. They turn text into tokens
//! (`lib/compression/symbols.ts`); the TypeScript around them writes blocks of tokens. An instance serves one encoder.
//!
//! Each finder is a coroutine: `*_run` stops with 1 when a block of tokens is to be written, and with 0 when it needs
//! more text. The names and the order of steps follow the original programs.
#![no_std]
#![allow(static_mut_refs)]

use core::ptr::{addr_of, addr_of_mut};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const WINDOW_SIZE: i32 = 32768;
const WINDOW_MASK: i32 = WINDOW_SIZE - 1;
const MAX_MATCH: i32 = 258;
/// Zeros after a text, so that a word can be read at each of its bytes.
const MARGIN: usize = 16;
const MATCH: i32 = 1 << 30;

fn match_token(length: i32, offset: i32) -> i32 {
    MATCH | ((length - 3) << 22) | (offset - 1)
}

unsafe fn load32(at: *const u8) -> u32 {
    (at as *const u32).read_unaligned()
}

unsafe fn load64(at: *const u8) -> u64 {
    (at as *const u64).read_unaligned()
}

/// Number of equal bytes, at most `most`. May read seven bytes beyond.
#[inline(always)]
unsafe fn common_length(a: *const u8, b: *const u8, most: i32) -> i32 {
    let mut n = 0;
    while n < most {
        let difference = load64(a.add(n as usize)) ^ load64(b.add(n as usize));
        if difference != 0 {
            n += (difference.trailing_zeros() >> 3) as i32;
            break;
        }
        n += 8;
    }
    if n < most { n } else { most }
}

/// Where the tokens of the block are, and the part of the text that they stand for.
#[repr(C)]
pub struct Block {
    count: i32,
    /// Offset in memory; 0 if the text has left the window.
    text: u32,
    size: i32,
}

static mut BLOCK: Block = Block { count: 0, text: 0, size: 0 };

#[no_mangle]
pub extern "C" fn block() -> *const Block {
    addr_of!(BLOCK)
}

const MOST_TOKENS: usize = 65536;
static mut TOKENS: [i32; MOST_TOKENS] = [0; MOST_TOKENS];

#[no_mangle]
pub extern "C" fn tokens() -> *const i32 {
    addr_of!(TOKENS) as *const i32
}

unsafe fn push(count: &mut i32, token: i32) {
    *(addr_of_mut!(TOKENS) as *mut i32).add(*count as usize) = token;
    *count += 1;
}

/// Text, and a window of it for finders that slide.
const TEXT_SIZE: usize = 5 * 65535;
static mut TEXT: [u8; TEXT_SIZE + MARGIN] = [0; TEXT_SIZE + MARGIN];

unsafe fn text(at: i32) -> *mut u8 {
    (addr_of_mut!(TEXT) as *mut u8).offset(at as isize)
}

/// Offset in memory of the text at `at`.
#[no_mangle]
pub unsafe extern "C" fn text_at(at: i32) -> *const u8 {
    text(at)
}

// Go's compress/flate (deflate.go), levels 2 to 9: hash chains over a window that slides by half its buffer.

mod go {
    use super::*;

    const MIN_MATCH: i32 = 4;
    const MIN_LOOKAHEAD: i32 = MIN_MATCH + MAX_MATCH;
    const HASH_BITS: u32 = 17;
    const HASH_SIZE: usize = 1 << HASH_BITS;
    const HASH_MULTIPLIER: u32 = 0x1e35a7bd;
    const MAX_BLOCK_TOKENS: i32 = 1 << 14;
    const MAX_HASH_OFFSET: i32 = 1 << 24;
    /// Farther matches of four bytes cost more than literals.
    const MAX_SHORT_OFFSET: i32 = 4096;
    /// Leads out of the window from everywhere.
    const FAR: u16 = u16::MAX;

    /// The last position of each hash, plus `hash_offset`.
    static mut HEAD: [i32; HASH_SIZE] = [0; HASH_SIZE];
    /// By position: the distance to the one before in its chain; FAR if that has left the window.
    static mut DISTANCE: [u16; WINDOW_SIZE as usize] = [0; WINDOW_SIZE as usize];

    #[derive(Clone, Copy)]
    struct State {
        lazy: i32,
        nice: i32,
        chain: i32,
        /// Without lazy matching: positions inside longer matches are not hashed; -1 with it.
        skip: i32,
        hash_offset: i32,
        index: i32,
        end: i32,
        /// Start of the tokens' text; -1 if it has left the window.
        block_start: i32,
        block_end: i32,
        is_literal_held: bool,
        length: i32,
        offset: i32,
        chain_head: i32,
        count: i32,
    }

    static mut STATE: State = State {
        lazy: 0,
        nice: 0,
        chain: 0,
        skip: 0,
        hash_offset: 1,
        index: 0,
        end: 0,
        block_start: 0,
        block_end: 0,
        is_literal_held: false,
        length: MIN_MATCH - 1,
        offset: 0,
        chain_head: -1,
        count: 0,
    };

    #[no_mangle]
    pub unsafe extern "C" fn go_start(lazy: i32, nice: i32, chain: i32, skip: i32) {
        STATE.lazy = lazy;
        STATE.nice = nice;
        STATE.chain = chain;
        STATE.skip = skip;
    }

    /// Makes room for text. Returns where it is to be put; the window ends at 2 * WINDOW_SIZE.
    #[no_mangle]
    pub unsafe extern "C" fn go_room() -> i32 {
        let s = &mut STATE;
        if s.index >= 2 * WINDOW_SIZE - MIN_LOOKAHEAD {
            core::ptr::copy(text(WINDOW_SIZE), text(0), WINDOW_SIZE as usize);
            s.index -= WINDOW_SIZE;
            s.end -= WINDOW_SIZE;
            s.block_start = if s.block_start >= WINDOW_SIZE { s.block_start - WINDOW_SIZE } else { -1 };
            s.hash_offset += WINDOW_SIZE;
            if s.hash_offset > MAX_HASH_OFFSET {
                let delta = s.hash_offset - 1;
                s.hash_offset -= delta;
                s.chain_head -= delta;
                for head in HEAD.iter_mut() {
                    *head = if *head > delta { *head - delta } else { 0 };
                }
            }
        }
        s.end
    }

    #[no_mangle]
    pub unsafe extern "C" fn go_add(size: i32) {
        STATE.end += size;
    }

    /// Puts a position at the head of its chain. Returns the old head.
    #[inline(always)]
    unsafe fn insert(at: i32, hash_offset: i32) -> i32 {
        let word = load32(text(at)).swap_bytes();
        let hash = (word.wrapping_mul(HASH_MULTIPLIER) >> (32 - HASH_BITS)) as usize;
        let place = (addr_of_mut!(HEAD) as *mut i32).add(hash);
        let head = *place;
        let position = at + hash_offset;
        *place = position;
        let distance = position - head;
        *(addr_of_mut!(DISTANCE) as *mut u16).add((at & WINDOW_MASK) as usize) =
            if distance < WINDOW_SIZE { distance as u16 } else { FAR };
        head
    }

    /// Finds the longest match above `least`, the nearest one of several. Sets `length` and `offset`.
    #[inline(always)]
    unsafe fn find_match(s: &mut State, lookahead: i32, least: i32) {
        let max_length = if lookahead < MAX_MATCH { lookahead } else { MAX_MATCH };
        let enough = if s.nice < max_length { s.nice } else { max_length };
        let at = s.index;
        let here = text(at);
        let min_index = if at > WINDOW_SIZE { at - WINDOW_SIZE } else { 0 };
        let distances = addr_of!(DISTANCE) as *const u16;
        let mut best = least;
        let mut wanted = load32(here.offset((best - 3) as isize));
        let mut candidate = s.chain_head - s.hash_offset;
        let mut tries = s.chain;
        loop {
            // a better match has these four bytes
            if load32(text(candidate + best - 3)) == wanted {
                let n = common_length(text(candidate), here, max_length);
                if n > best && (n > MIN_MATCH || at - candidate <= MAX_SHORT_OFFSET) {
                    best = n;
                    s.length = n;
                    s.offset = at - candidate;
                    if n >= enough {
                        return;
                    }
                    wanted = load32(here.offset((best - 3) as isize));
                }
            }
            // the oldest position of the window shares its place with `at`: any distance leads out of the window
            candidate -= *distances.add((candidate & WINDOW_MASK) as usize) as i32;
            tries -= 1;
            if candidate < min_index || tries == 0 {
                return;
            }
        }
    }

    /// Stops with 1 when a block is to be written.
    #[no_mangle]
    pub unsafe extern "C" fn go_run(is_last: i32) -> i32 {
        let mut s = STATE;
        let is_full = if s.skip < 0 { run::<true>(&mut s, is_last != 0) } else { run::<false>(&mut s, is_last != 0) };
        STATE = s;
        if !is_full {
            return 0;
        }
        let is_there = s.block_start >= 0 && s.block_start <= s.block_end;
        BLOCK = Block {
            count: s.count,
            text: if is_there { text(s.block_start) as u32 } else { 0 },
            size: s.block_end - s.block_start,
        };
        STATE.block_start = s.block_end;
        STATE.count = 0;
        1
    }

    #[inline(always)]
    unsafe fn run<const IS_LAZY: bool>(s: &mut State, is_last: bool) -> bool {
        let max_insert = s.end - (MIN_MATCH - 1);
        loop {
            let lookahead = s.end - s.index;
            if lookahead < MIN_LOOKAHEAD && !is_last {
                return false;
            }
            if lookahead == 0 {
                if s.is_literal_held {
                    push(&mut s.count, *text(s.index - 1) as i32);
                    s.is_literal_held = false;
                }
                s.block_end = s.index;
                return s.count > 0;
            }
            // at the end of the input the last chain head is kept
            if s.index < max_insert {
                s.chain_head = insert(s.index, s.hash_offset);
            }
            let previous_length = s.length;
            let previous_offset = s.offset;
            s.length = MIN_MATCH - 1;
            s.offset = 0;
            let min_index = if s.index > WINDOW_SIZE { s.index - WINDOW_SIZE } else { 0 };
            let may_search = if IS_LAZY {
                lookahead > previous_length && previous_length < s.lazy
            } else {
                lookahead > MIN_MATCH - 1
            };
            if may_search && s.chain_head - s.hash_offset >= min_index {
                // a match that is not longer than the previous one makes no difference
                let least =
                    if IS_LAZY && previous_length >= MIN_MATCH { previous_length } else { MIN_MATCH - 1 };
                find_match(s, lookahead, least);
            }
            let is_match = if IS_LAZY {
                previous_length >= MIN_MATCH && s.length <= previous_length
            } else {
                s.length >= MIN_MATCH
            };
            if is_match {
                let token = if IS_LAZY {
                    match_token(previous_length, previous_offset)
                } else {
                    match_token(s.length, s.offset)
                };
                push(&mut s.count, token);
                if IS_LAZY || s.length <= s.skip {
                    let next = if IS_LAZY { s.index + previous_length - 1 } else { s.index + s.length };
                    let mut at = s.index + 1;
                    while at < next {
                        if at < max_insert {
                            insert(at, s.hash_offset);
                        }
                        at += 1;
                    }
                    s.index = at;
                    if IS_LAZY {
                        s.is_literal_held = false;
                        s.length = MIN_MATCH - 1;
                    }
                } else {
                    s.index += s.length;
                }
                if s.count == MAX_BLOCK_TOKENS {
                    s.block_end = s.index;
                    return true;
                }
                continue;
            }
            let is_literal = !IS_LAZY || s.is_literal_held;
            let at = if IS_LAZY { s.index - 1 } else { s.index };
            s.index += 1;
            if IS_LAZY {
                s.is_literal_held = true;
            }
            if is_literal {
                push(&mut s.count, *text(at) as i32);
                if s.count == MAX_BLOCK_TOKENS {
                    s.block_end = at + 1;
                    return true;
                }
            }
        }
    }
}

// deflate of zlib (deflate.c; memLevel 8, default strategy) and of GNU gzip.

mod zlib {
    use super::*;

    const MIN_MATCH: i32 = 3;
    const MIN_LOOKAHEAD: i32 = MAX_MATCH + MIN_MATCH + 1;
    const MAX_DISTANCE: i32 = WINDOW_SIZE - MIN_LOOKAHEAD;
    /// gzip does not search beyond it, which it reaches only at the end of the input.
    const GZIP_LAST_MATCH: i32 = 2 * WINDOW_SIZE - MIN_LOOKAHEAD;
    const HASH_SIZE: usize = 1 << 15;
    const HASH_SHIFT: u32 = 5;
    /// Farther matches of three bytes cost more than literals.
    const TOO_FAR: i32 = 4096;
    const LAST_FAST_LEVEL: i32 = 3;

    static mut HEAD: [u16; HASH_SIZE] = [0; HASH_SIZE];
    static mut PREVIOUS: [u16; WINDOW_SIZE as usize] = [0; WINDOW_SIZE as usize];

    #[derive(Clone, Copy)]
    struct State {
        is_gzip: bool,
        level: i32,
        good: i32,
        lazy: i32,
        nice: i32,
        chain: i32,
        max_tokens: i32,
        count: i32,
        match_count: i32,
        /// gzip's estimate of the bits of offsets.
        offset_bits: i32,
        start: i32,
        lookahead: i32,
        block_start: i32,
        block_end: i32,
        /// Number of positions before `start` that need more bytes to be hashed.
        unhashed: i32,
        match_start: i32,
        match_length: i32,
        is_literal_held: bool,
    }

    const FRESH: State = State {
        is_gzip: false,
        level: 0,
        good: 0,
        lazy: 0,
        nice: 0,
        chain: 0,
        max_tokens: 0,
        count: 0,
        match_count: 0,
        offset_bits: 0,
        start: 0,
        lookahead: 0,
        block_start: 0,
        block_end: 0,
        unhashed: 0,
        match_start: 0,
        match_length: MIN_MATCH - 1,
        is_literal_held: false,
    };
    static mut STATE: State = FRESH;

    /// Begins with the dictionary that is at the start of the text.
    #[no_mangle]
    pub unsafe extern "C" fn zlib_start(
        is_gzip: i32,
        level: i32,
        good: i32,
        lazy: i32,
        nice: i32,
        chain: i32,
        dictionary: i32,
    ) {
        HEAD.fill(0);
        PREVIOUS.fill(0);
        let is_gzip = is_gzip != 0;
        let max_tokens = if is_gzip { 0x7fff } else { 0x3fff };
        STATE = State { is_gzip, level, good, lazy, nice, chain, max_tokens, ..FRESH };
        STATE.start = dictionary;
        STATE.block_start = dictionary;
        for at in 0..dictionary - (MIN_MATCH - 1) {
            insert(at);
        }
        STATE.unhashed = dictionary.min(MIN_MATCH - 1);
    }

    unsafe fn slide() {
        let s = &mut STATE;
        core::ptr::copy(text(WINDOW_SIZE), text(0), WINDOW_SIZE as usize);
        s.match_start -= WINDOW_SIZE;
        s.start -= WINDOW_SIZE;
        s.block_start -= WINDOW_SIZE;
        for position in HEAD.iter_mut().chain(PREVIOUS.iter_mut()) {
            *position = position.saturating_sub(WINDOW_SIZE as u16);
        }
    }

    /// Makes room for text. Returns where it is to be put; the window ends at 2 * WINDOW_SIZE.
    #[no_mangle]
    pub unsafe extern "C" fn zlib_room() -> i32 {
        if STATE.start >= WINDOW_SIZE + MAX_DISTANCE {
            slide();
        }
        STATE.start + STATE.lookahead
    }

    #[no_mangle]
    pub unsafe extern "C" fn zlib_add(size: i32) {
        let s = &mut STATE;
        s.lookahead += size;
        while s.unhashed > 0 && s.lookahead + s.unhashed >= MIN_MATCH {
            insert(s.start - s.unhashed);
            s.unhashed -= 1;
        }
    }

    /// Puts a position at the head of its chain. Returns the old head, 0 for none.
    #[inline(always)]
    unsafe fn insert(at: i32) -> i32 {
        let word = load32(text(at));
        let hash = ((word << (2 * HASH_SHIFT)) ^ (((word >> 8) & 0xff) << HASH_SHIFT) ^ ((word >> 16) & 0xff))
            & (HASH_SIZE as u32 - 1);
        let place = (addr_of_mut!(HEAD) as *mut u16).add(hash as usize);
        let found = *place;
        *(addr_of_mut!(PREVIOUS) as *mut u16).add((at & WINDOW_MASK) as usize) = found;
        *place = at as u16;
        found as i32
    }

    /// Length of the longest match over `best`, or `best` if there is none; sets `match_start`.
    #[inline(always)]
    unsafe fn longest_match<const IS_GZIP: bool>(s: &mut State, from: i32, best: i32) -> i32 {
        let limit = if s.start > MAX_DISTANCE { s.start - MAX_DISTANCE } else { 0 };
        // gzip also compares older text beyond the end of the input
        let max_length = if IS_GZIP || s.lookahead > MAX_MATCH { MAX_MATCH } else { s.lookahead };
        let enough = if IS_GZIP || s.nice < s.lookahead { s.nice } else { s.lookahead };
        let previous = addr_of!(PREVIOUS) as *const u16;
        let here = text(s.start);
        let mut length = best;
        let mut tries = if best >= s.good { s.chain >> 2 } else { s.chain };
        // a better match has these four bytes; three of them if any match is better
        let mut mask = if length < MIN_MATCH { 0xffffff } else { u32::MAX };
        let mut back = if length < MIN_MATCH { 0 } else { length - 3 };
        let mut wanted = load32(here.offset(back as isize));
        let mut candidate = from;
        loop {
            if (load32(text(candidate + back)) ^ wanted) & mask == 0 {
                let n = common_length(text(candidate), here, max_length);
                if n > length {
                    s.match_start = candidate;
                    length = n;
                    if n >= enough {
                        break;
                    }
                    mask = u32::MAX;
                    back = n - 3;
                    wanted = load32(here.offset(back as isize));
                }
            }
            candidate = *previous.add((candidate & WINDOW_MASK) as usize) as i32;
            tries -= 1;
            if candidate <= limit || tries == 0 {
                break;
            }
        }
        if length < s.lookahead { length } else { s.lookahead }
    }

    #[inline(always)]
    fn is_full(s: &State, is_gzip: bool) -> bool {
        if is_gzip && s.level > 2 && (s.count & 0xfff) == 0 {
            // ends the block if it seems to compress well
            let reckoned = (s.count * 8 + s.offset_bits) >> 3;
            if s.match_count < s.count >> 1 && reckoned < (s.start - s.block_start) >> 1 {
                return true;
            }
        }
        s.count == s.max_tokens
    }

    unsafe fn add_literal(s: &mut State, literal: u8) {
        push(&mut s.count, literal as i32);
    }

    #[inline(always)]
    unsafe fn add_match<const IS_GZIP: bool>(s: &mut State, length: i32, offset: i32) {
        push(&mut s.count, match_token(length, offset));
        s.match_count += 1;
        if IS_GZIP {
            // extra bits of the code of an offset (RFC 1951, section 3.2.5)
            let distance = (offset - 1) as u32;
            s.offset_bits += 5 + if distance < 4 { 0 } else { 30 - distance.leading_zeros() as i32 };
        }
    }

    #[inline(always)]
    fn may_search(s: &State, from: i32, is_gzip: bool) -> bool {
        from != 0 && s.start - from <= MAX_DISTANCE && (!is_gzip || s.start <= GZIP_LAST_MATCH)
    }

    #[inline(always)]
    unsafe fn run_fast<const IS_GZIP: bool>(s: &mut State, min_lookahead: i32) -> bool {
        while s.lookahead >= min_lookahead {
            let end = s.start + s.lookahead;
            let found = if IS_GZIP || s.start + MIN_MATCH <= end { insert(s.start) } else { 0 };
            let mut length = 0;
            if may_search(s, found, IS_GZIP) {
                length = longest_match::<IS_GZIP>(s, found, MIN_MATCH - 1);
            }
            let full;
            if length >= MIN_MATCH {
                add_match::<IS_GZIP>(s, length, s.start - s.match_start);
                full = is_full(s, IS_GZIP);
                s.lookahead -= length;
                let next = s.start + length;
                if length <= s.lazy && (IS_GZIP || s.lookahead >= MIN_MATCH) {
                    s.start += 1;
                    while s.start < next {
                        insert(s.start);
                        s.start += 1;
                    }
                }
                s.start = next;
            } else {
                add_literal(s, *text(s.start));
                full = is_full(s, IS_GZIP);
                s.lookahead -= 1;
                s.start += 1;
            }
            if full {
                s.block_end = s.start;
                return true;
            }
        }
        false
    }

    #[inline(always)]
    unsafe fn run_slow<const IS_GZIP: bool>(s: &mut State, min_lookahead: i32) -> bool {
        while s.lookahead >= min_lookahead {
            let end = s.start + s.lookahead;
            let found = if IS_GZIP || s.start + MIN_MATCH <= end { insert(s.start) } else { 0 };
            let previous_length = s.match_length;
            let previous_start = s.match_start;
            s.match_length = MIN_MATCH - 1;
            if previous_length < s.lazy && may_search(s, found, IS_GZIP) {
                s.match_length = longest_match::<IS_GZIP>(s, found, previous_length);
                if s.match_length == MIN_MATCH && s.start - s.match_start > TOO_FAR {
                    s.match_length = MIN_MATCH - 1;
                }
            }
            if previous_length >= MIN_MATCH && s.match_length <= previous_length {
                add_match::<IS_GZIP>(s, previous_length, s.start - 1 - previous_start);
                let full = is_full(s, IS_GZIP);
                s.lookahead -= previous_length - 1;
                let next = s.start + previous_length - 1;
                s.start += 1;
                while s.start < next {
                    if IS_GZIP || s.start + MIN_MATCH <= end {
                        insert(s.start);
                    }
                    s.start += 1;
                }
                s.is_literal_held = false;
                s.match_length = MIN_MATCH - 1;
                if full {
                    s.block_end = s.start;
                    return true;
                }
            } else {
                let is_held = s.is_literal_held;
                let mut full = false;
                if is_held {
                    add_literal(s, *text(s.start - 1));
                    full = is_full(s, IS_GZIP);
                }
                s.is_literal_held = true;
                s.block_end = s.start;
                s.start += 1;
                s.lookahead -= 1;
                if full {
                    return true;
                }
            }
        }
        false
    }

    /// Makes tokens while there are `min_lookahead` bytes or more. Stops with 1 when a block is to be written.
    #[no_mangle]
    pub unsafe extern "C" fn zlib_run(min_lookahead: i32) -> i32 {
        let mut s = STATE;
        let full = match (s.level <= LAST_FAST_LEVEL, s.is_gzip) {
            (false, false) => run_slow::<false>(&mut s, min_lookahead),
            (false, true) => run_slow::<true>(&mut s, min_lookahead),
            (true, false) => run_fast::<false>(&mut s, min_lookahead),
            (true, true) => run_fast::<true>(&mut s, min_lookahead),
        };
        STATE = s;
        if full {
            take_block();
        }
        full as i32
    }

    unsafe fn take_block() {
        let s = &mut STATE;
        BLOCK = Block {
            count: s.count,
            text: if s.block_start >= 0 { text(s.block_start) as u32 } else { 0 },
            size: s.block_end - s.block_start,
        };
        s.block_start = s.block_end;
        s.count = 0;
        s.match_count = 0;
        s.offset_bits = 0;
    }

    /// Call it before the last tokens are made.
    #[no_mangle]
    pub unsafe extern "C" fn zlib_end() {
        if !STATE.is_gzip {
            return;
        }
        // gzip has slid its window before it sees the end of the input
        if STATE.start >= WINDOW_SIZE + MAX_DISTANCE {
            slide();
        }
        core::ptr::write_bytes(text(STATE.start + STATE.lookahead), 0, (MIN_MATCH - 1) as usize);
    }

    /// The rest of the tokens, as a block. Call it when `zlib_run(1)` has stopped with 0. Returns their number.
    #[no_mangle]
    pub unsafe extern "C" fn zlib_rest() -> i32 {
        let s = &mut STATE;
        if s.is_literal_held {
            add_literal(s, *text(s.start - 1));
        }
        s.is_literal_held = false;
        s.unhashed = s.start.min(MIN_MATCH - 1);
        s.block_end = s.start;
        take_block();
        BLOCK.count
    }
}

// Level 5, the default, of klauspost/compress (flate/level5.go).

mod klauspost {
    use super::*;

    const MAX_STORED: usize = 65535;
    const TABLE_BITS: u32 = 15;
    const TABLE_SIZE: usize = 1 << TABLE_BITS;
    const PRIME4: u32 = 0x9e3779b1;
    const PRIME7: u64 = 58295818150454627;
    const HISTORY_SIZE: i32 = TEXT_SIZE as i32;
    const INPUT_MARGIN: i32 = 11;
    const MIN_ENCODED: i32 = 13;
    /// For matches up to this length, a replacement is searched from their end.
    const MAX_RETRIED: i32 = 30;
    const HASH_EVERY: i32 = 3;
    const MAX_POSITION: i32 = 1 << 30;
    /// Tables hold position + `current`, so that empty entries are out of reach.
    const FIRST_POSITION: i32 = MAX_STORED as i32;

    static mut INPUT: [u8; MAX_STORED + MARGIN] = [0; MAX_STORED + MARGIN];
    static mut TABLE: [i32; TABLE_SIZE] = [0; TABLE_SIZE];
    /// The last two positions, side by side.
    static mut LONG: [[i32; 2]; TABLE_SIZE] = [[0; 2]; TABLE_SIZE];
    static mut END: i32 = 0;
    static mut CURRENT: i32 = FIRST_POSITION;
    static mut SKIP_BEGINNING: i32 = 0;
    static mut IS_SPLIT_WELL: bool = false;

    /// Offset in memory of the text of the next block.
    #[no_mangle]
    pub extern "C" fn klauspost_input() -> *const u8 {
        addr_of!(INPUT) as *const u8
    }

    #[no_mangle]
    pub unsafe extern "C" fn klauspost_start(skip_beginning: i32, is_split_well: i32) {
        SKIP_BEGINNING = skip_beginning;
        IS_SPLIT_WELL = is_split_well != 0;
    }

    #[no_mangle]
    pub unsafe extern "C" fn klauspost_forget() {
        TABLE.fill(0);
        LONG.fill([0; 2]);
        CURRENT = FIRST_POSITION;
        END = 0;
    }

    #[inline(always)]
    unsafe fn table(hash: usize) -> *mut i32 {
        (addr_of_mut!(TABLE) as *mut i32).add(hash)
    }

    #[inline(always)]
    unsafe fn long(hash: usize) -> *mut [i32; 2] {
        (addr_of_mut!(LONG) as *mut [i32; 2]).add(hash)
    }

    #[inline(always)]
    unsafe fn short_hash(at: i32) -> usize {
        (load32(text(at)).wrapping_mul(PRIME4) >> (32 - TABLE_BITS)) as usize
    }

    #[inline(always)]
    unsafe fn long_hash(at: i32) -> usize {
        ((load64(text(at)) << 8).wrapping_mul(PRIME7) >> (64 - TABLE_BITS)) as usize
    }

    #[inline(always)]
    unsafe fn insert_long(hash: usize, position: i32) {
        let entry = long(hash);
        (*entry)[1] = (*entry)[0];
        (*entry)[0] = position;
    }

    /// `limit` is the end of the comparison; `s` may be beyond it.
    #[inline(always)]
    unsafe fn match_length(s: i32, t: i32, limit: i32) -> i32 {
        if s >= limit {
            return 0;
        }
        common_length(text(s), text(t), limit - s)
    }

    unsafe fn add_block(size: i32) -> i32 {
        if END + size > HISTORY_SIZE {
            let moved = END - WINDOW_SIZE;
            core::ptr::copy(text(moved), text(0), WINDOW_SIZE as usize);
            CURRENT += moved;
            END = WINDOW_SIZE;
        }
        let start = END;
        core::ptr::copy_nonoverlapping(addr_of!(INPUT) as *const u8, text(start), size as usize);
        END += size;
        start
    }

    unsafe fn emit_literals(count: &mut i32, from: i32, to: i32) {
        for at in from..to {
            push(count, *text(at) as i32);
        }
    }

    unsafe fn emit_match(count: &mut i32, length: i32, offset: i32) {
        let mut left = length;
        while left > 0 {
            let mut part = left;
            if part > MAX_MATCH {
                // the rest must be long enough for a match
                part = if IS_SPLIT_WELL && part > MAX_MATCH + 3 { MAX_MATCH } else { MAX_MATCH - 3 };
            }
            push(count, match_token(part, offset));
            left -= part;
        }
    }

    unsafe fn rebase() {
        let minimum = CURRENT + END - WINDOW_SIZE;
        let current = CURRENT;
        let moved = |position: i32| if position <= minimum { 0 } else { position - current + WINDOW_SIZE };
        for at in 0..TABLE_SIZE {
            *table(at) = moved(*table(at));
            *long(at) = [moved((*long(at))[0]), moved((*long(at))[1])];
        }
        CURRENT = WINDOW_SIZE;
    }

    /// Makes the tokens of a block; none if it has no match. Returns their number.
    #[no_mangle]
    pub unsafe extern "C" fn klauspost_run(size: i32) -> i32 {
        if CURRENT >= MAX_POSITION {
            rebase();
        }
        let mut s = add_block(size);
        if size < MIN_ENCODED {
            return 0;
        }
        let current = CURRENT;
        let end = END;
        let skip_beginning = SKIP_BEGINNING;
        let mut count = 0;
        let mut next_emit = s;
        let limit = end - INPUT_MARGIN;
        'search: loop {
            let mut next_s = s;
            let mut length = 0;
            let mut t;
            loop {
                let hash = short_hash(next_s);
                let hash7 = long_hash(next_s);
                s = next_s;
                next_s = s + 1 + ((s - next_emit) >> 6);
                if next_s > limit {
                    break 'search;
                }
                let short_candidate = *table(hash) - current;
                let [long1, long2] = *long(hash7);
                let [candidate1, candidate2] = [long1 - current, long2 - current];
                *table(hash) = s + current;
                *long(hash7) = [s + current, long1];
                let value = load32(text(s));
                if s - candidate1 < WINDOW_SIZE {
                    t = candidate1;
                    if value == load32(text(t)) {
                        *table(short_hash(next_s)) = next_s + current;
                        insert_long(long_hash(next_s), next_s + current);
                        if s - candidate2 < WINDOW_SIZE && value == load32(text(candidate2)) {
                            let most = (s + MAX_MATCH).min(end);
                            length = match_length(s + 4, t + 4, most) + 4;
                            let length2 = match_length(s + 4, candidate2 + 4, most) + 4;
                            if length2 > length {
                                t = candidate2;
                                length = length2;
                            }
                        }
                        break;
                    }
                    t = candidate2;
                    if s - t < WINDOW_SIZE && value == load32(text(t)) {
                        *table(short_hash(next_s)) = next_s + current;
                        insert_long(long_hash(next_s), next_s + current);
                        break;
                    }
                }
                t = short_candidate;
                if s - t < WINDOW_SIZE && value == load32(text(t)) {
                    length = match_length(s + 4, t + 4, (s + MAX_MATCH).min(end)) + 4;
                    let next_hash = long_hash(next_s);
                    let [next1, next2] = *long(next_hash);
                    let [t1, t2] = [next1 - current, next2 - current];
                    *table(short_hash(next_s)) = next_s + current;
                    *long(next_hash) = [next_s + current, next1];
                    if next_s - t1 < WINDOW_SIZE {
                        let next = load32(text(next_s));
                        let most = (next_s + MAX_MATCH).min(end);
                        let mut better = if load32(text(t1)) == next {
                            match_length(next_s + 4, t1 + 4, most) + 4
                        } else {
                            0
                        };
                        if better > length {
                            t = t1;
                        } else {
                            better = if next_s - t2 < WINDOW_SIZE && load32(text(t2)) == next {
                                match_length(next_s + 4, t2 + 4, most) + 4
                            } else {
                                0
                            };
                            if better > length {
                                t = t2;
                            }
                        }
                        if better > length {
                            s = next_s;
                            length = better;
                        }
                    }
                    break;
                }
            }
            if length == 0 {
                length = match_length(s + 4, t + 4, end) + 4;
            } else if length == MAX_MATCH {
                length += match_length(s + length, t + length, end);
            }
            let behind = s + length;
            if length < MAX_RETRIED && behind < limit {
                let t2 = (*long(long_hash(behind)))[0] - current - length + skip_beginning;
                let s2 = s + skip_beginning;
                let offset = s2 - t2;
                if t2 >= 0 && offset < WINDOW_SIZE && offset > 0 {
                    let length2 = match_length(s2, t2, end);
                    if length2 > length {
                        t = t2;
                        length = length2;
                        s = s2;
                    }
                }
            }
            while t > 0 && s > next_emit && *text(t - 1) == *text(s - 1) {
                s -= 1;
                t -= 1;
                length += 1;
            }
            emit_literals(&mut count, next_emit, s);
            emit_match(&mut count, length, s - t);
            s += length;
            next_emit = s;
            if next_s >= s {
                s = next_s + 1;
            }
            if s >= limit {
                break;
            }
            hash_inside(s - length + 1, s, current);
            *table(short_hash(s - 1)) = s - 1 + current;
            insert_long(long_hash(s - 1), s - 1 + current);
        }
        if next_emit < end && count > 0 {
            emit_literals(&mut count, next_emit, end);
        }
        count
    }

    #[inline(always)]
    unsafe fn hash_inside(from: i32, to: i32, current: i32) {
        if from >= to - 1 {
            return;
        }
        *table(short_hash(from)) = from + current;
        insert_long(long_hash(from), from + current);
        insert_long(long_hash(from + 1), from + 1 + current);
        *table(short_hash(from + 2)) = from + 2 + current;
        let mut at = from + 4;
        while at < to - 1 {
            insert_long(long_hash(at), at + current);
            *table(short_hash(at + 1)) = at + 1 + current;
            at += HASH_EVERY;
        }
    }
}

// Blocks of tokens as bits, and Huffman codes like those of Go's compress/flate and klauspost/compress.

mod coding {
    use super::*;

    const LITERALS: usize = 288;
    const OFFSETS: usize = 32;
    const END_OF_BLOCK: usize = 256;
    const MAX_BITS: usize = 15;
    const ROW: usize = MAX_BITS + 2;
    const NEVER: i64 = 0x7fffffff;

    /// Of literals and lengths, then of offsets.
    static mut FREQUENCIES: [u32; LITERALS + OFFSETS] = [0; LITERALS + OFFSETS];
    /// Likewise; each has its bits, and its length in bits 16 and above (`lib/compression/bits.ts`).
    static mut CODES: [u32; LITERALS + OFFSETS] = [0; LITERALS + OFFSETS];
    /// A token takes at most 48 bits.
    static mut OUT: [u8; MOST_TOKENS * 6 + MARGIN] = [0; MOST_TOKENS * 6 + MARGIN];
    /// Bits that do not fill a byte yet, and their number.
    static mut HELD: [u32; 2] = [0; 2];

    #[no_mangle]
    pub extern "C" fn frequencies() -> *const u32 {
        addr_of!(FREQUENCIES) as *const u32
    }

    #[no_mangle]
    pub extern "C" fn codes() -> *const u32 {
        addr_of!(CODES) as *const u32
    }

    #[no_mangle]
    pub extern "C" fn out() -> *const u8 {
        addr_of!(OUT) as *const u8
    }

    #[no_mangle]
    pub extern "C" fn held() -> *const u32 {
        addr_of!(HELD) as *const u32
    }

    /// Code, number of extra bits and their value of a length - 3 (RFC 1951, section 3.2.5).
    fn length_code(length: u32) -> (usize, u32, u32) {
        if length < 8 {
            return (length as usize, 0, 0);
        }
        if length == 255 {
            return (28, 0, 0);
        }
        let extra = 29 - length.leading_zeros();
        ((4 * (extra + 1) + ((length >> extra) & 3)) as usize, extra, length & ((1 << extra) - 1))
    }

    /// The same of an offset - 1.
    fn offset_code(offset: u32) -> (usize, u32, u32) {
        if offset < 4 {
            return (offset as usize, 0, 0);
        }
        let extra = 30 - offset.leading_zeros();
        ((2 * (extra + 1) + ((offset >> extra) & 1)) as usize, extra, offset & ((1 << extra) - 1))
    }

    /// Adds the codes of tokens to `FREQUENCIES`.
    #[no_mangle]
    pub unsafe extern "C" fn count_codes(count: i32) {
        let mut lengths = [0u32; 256];
        for token in &TOKENS[..count as usize] {
            if *token < MATCH {
                FREQUENCIES[*token as usize & 255] += 1;
                continue;
            }
            lengths[(*token >> 22) as usize & 255] += 1;
            FREQUENCIES[LITERALS + (offset_code(*token as u32 & 0x3fffff).0 & 31)] += 1;
        }
        for (length, count) in lengths.iter().enumerate() {
            FREQUENCIES[END_OF_BLOCK + 1 + length_code(length as u32).0] += count;
        }
    }

    /// Writes tokens in `CODES` to `OUT`, behind the bits of `HELD`. Returns the number of whole bytes.
    #[no_mangle]
    pub unsafe extern "C" fn pack(count: i32) -> i32 {
        // by length - 3: bits, and their number in bits 24 and above
        let mut lengths = [0u32; 256];
        for (length, packed) in lengths.iter_mut().enumerate() {
            let (code, extra, value) = length_code(length as u32);
            let code = CODES[END_OF_BLOCK + 1 + code];
            let size = code >> 16;
            *packed = (code & 0xffff) | (value << size) | ((size + extra) << 24);
        }
        let mut bits = HELD[0] as u64;
        let mut size = HELD[1];
        let start = addr_of_mut!(OUT) as *mut u8;
        let mut at = start;
        for token in &TOKENS[..count as usize] {
            let token = *token;
            if token < MATCH {
                let code = CODES[token as usize & 255];
                bits |= ((code & 0xffff) as u64) << size;
                size += code >> 16;
            } else {
                let length = lengths[(token >> 22) as usize & 255];
                bits |= ((length & 0xffffff) as u64) << size;
                size += length >> 24;
                let (code, extra, value) = offset_code(token as u32 & 0x3fffff);
                let code = CODES[LITERALS + (code & 31)];
                let offset = (code & 0xffff) | (value << (code >> 16));
                bits |= (offset as u64) << size;
                size += (code >> 16) + extra;
            }
            (at as *mut u64).write_unaligned(bits);
            at = at.add((size >> 3) as usize);
            bits >>= size & !7;
            size &= 7;
        }
        HELD = [bits as u32, size];
        at.offset_from(start) as i32
    }

    static mut SORTED: [u32; LITERALS] = [0; LITERALS];

    /// Fills the codes from `first` on: an optimal length-limited code by the boundary package-merge of Katajainen,
    /// Moffat and Turpin. Symbols of lower frequency get longer codes; among equals, those of lower value.
    #[no_mangle]
    pub unsafe extern "C" fn generate_codes(first: i32, count: i32, max_bits: i32) {
        let mut n = 0;
        for symbol in 0..count as usize {
            CODES[first as usize + symbol] = 0;
            let frequency = FREQUENCIES[first as usize + symbol];
            if frequency > 0 {
                SORTED[n] = (frequency << 9) | symbol as u32;
                n += 1;
            }
        }
        let sorted = &mut SORTED[..n];
        if n <= 2 {
            for (i, item) in sorted.iter().enumerate() {
                CODES[first as usize + (*item & 511) as usize] = (1 << 16) | i as u32;
            }
            return;
        }
        sorted.sort_unstable();
        let mut counts = [0usize; MAX_BITS + 1];
        count_bits(sorted, max_bits as usize, &mut counts);
        let mut code = 0u32;
        let mut end = n;
        for (length, size) in counts.iter().enumerate().skip(1) {
            code <<= 1;
            let group = &mut sorted[end - size..end];
            for item in group.iter_mut() {
                *item &= 511;
            }
            group.sort_unstable();
            for symbol in group.iter() {
                let reversed = code.reverse_bits() >> (32 - length);
                CODES[first as usize + *symbol as usize] = reversed | ((length as u32) << 16);
                code += 1;
            }
            end -= size;
        }
    }

    /// The number of codes of each length.
    unsafe fn count_bits(sorted: &[u32], limit: usize, counts: &mut [usize; MAX_BITS + 1]) {
        let n = sorted.len();
        let frequency = |i: usize| if i < n { (sorted[i] >> 9) as i64 } else { NEVER };
        let max_bits = limit.min(n - 1);
        let mut last_frequency = [frequency(1); ROW];
        let mut next_leaf = [frequency(2); ROW];
        let mut next_pair = [frequency(0) + frequency(1); ROW];
        let mut needed = [0i32; ROW];
        // leaves[level][j]: number of leaves left of the ancestor at level j of the rightmost node at `level`
        let mut leaves = [[0usize; ROW]; ROW];
        for level in 1..=max_bits {
            leaves[level][level] = 2;
        }
        next_pair[1] = NEVER;
        needed[max_bits] = 2 * n as i32 - 4;
        let mut level = max_bits;
        loop {
            if next_pair[level] == NEVER && next_leaf[level] == NEVER {
                // without leaves and pairs this level is complete
                needed[level] = 0;
                next_pair[level + 1] = NEVER;
                level += 1;
                continue;
            }
            let previous = last_frequency[level];
            if next_leaf[level] < next_pair[level] {
                let taken = leaves[level][level] + 1;
                last_frequency[level] = next_leaf[level];
                leaves[level][level] = taken;
                next_leaf[level] = frequency(taken);
            } else {
                last_frequency[level] = next_pair[level];
                for j in 0..level {
                    leaves[level][j] = leaves[level - 1][j];
                }
                needed[level - 1] = 2;
            }
            needed[level] -= 1;
            if needed[level] == 0 {
                if level == max_bits {
                    break;
                }
                next_pair[level + 1] = previous + last_frequency[level];
                level += 1;
            } else {
                while needed[level - 1] > 0 {
                    level -= 1;
                }
            }
        }
        for (length, count) in counts.iter_mut().enumerate().skip(1) {
            if length <= max_bits {
                let level = max_bits + 1 - length;
                *count = leaves[max_bits][level] - leaves[max_bits][level - 1];
            }
        }
    }
}
