//! Executables hold tables of records: relocations, symbols, pointers. After records were inserted or removed, a table still
//! resembles the source's at a distance that is wrong by some records, because most bytes of records are equal; seeds even prefer
//! the distance at which absolute addresses agree. At the right distance fewer bytes differ, and by the same amount in each record.
use super::compare::{differing, differing128, Sides};
use super::items::Items;

/// Size of the blocks that are compared, in bytes.
const BLOCK: i32 = 1024;
/// Shorter alignments are not taken for tables.
const MIN_LENGTH: i32 = 256;
/// Blocks with fewer differing bytes are in phase.
const MIN_DIFFERING: i32 = BLOCK / 16;
/// Equal bytes that another distance has to gain in a block; the distance of the block before needs fewer.
const MIN_GAIN: i32 = 40;
const MIN_GAIN_AS_BEFORE: i32 = 16;
/// Distances that are tried: up to this many bytes to either side, in steps of the smallest record.
const MAX_SHIFT: i32 = 512;
const STEP: usize = 8;
/// Bytes of a block that are compared first: only promising distances are counted in the whole block.
const PROBE: i32 = 128;

/// Adds the alignments to `out`, split where another distance nearby fits better.
pub unsafe fn rephase(sides: &Sides, items: &Items, out: &mut Items) {
    for i in 0..items.count {
        let item = items.get(i);
        let start = item.target;
        let end = start + item.length;
        let found = item.source - start;
        let mut begin = start;
        let mut distance = found;
        let mut at = if item.length < MIN_LENGTH { end } else { start };
        while at < end {
            let size = BLOCK.min(end - at);
            let next = distance_for(sides, at, size, found, distance);
            if next != distance {
                let low = begin.max(at - BLOCK).max(-next);
                let change = sides.border(distance, next, low, at + size);
                out.push(begin, begin + distance, change - begin);
                begin = change;
                distance = next;
            }
            at += BLOCK;
        }
        out.push(begin, begin + distance, end - begin);
    }
}

/// `before` is the distance of the block before.
#[inline(never)]
unsafe fn distance_for(sides: &Sides, at: i32, size: i32, found: i32, before: i32) -> i32 {
    let mut least = differing_at(sides, at, size, found, size);
    if least < MIN_DIFFERING {
        return found;
    }
    let mut best = found;
    if before != found {
        let count = differing_at(sides, at, size, before, least - MIN_GAIN_AS_BEFORE);
        if count < MIN_DIFFERING {
            return before;
        }
        if count < least - MIN_GAIN_AS_BEFORE {
            least = count;
            best = before;
        }
    }
    let mut limit = least - MIN_GAIN;
    for shift in (STEP as i32..=MAX_SHIFT).step_by(STEP) {
        if limit <= 0 {
            break;
        }
        let hopeless = PROBE / 16 + 3 * PROBE * limit / (2 * size);
        for distance in [before - shift, before + shift] {
            if probe(sides, at, size, distance, hopeless) >= hopeless {
                continue;
            }
            let count = differing_at(sides, at, size, distance, limit);
            if count < limit {
                limit = count;
                best = distance;
            }
        }
    }
    best
}

/// Number of differing bytes of the first ones of a block.
#[inline(always)]
unsafe fn probe(sides: &Sides, at: i32, size: i32, distance: i32, limit: i32) -> i32 {
    let from = at + distance;
    if size < PROBE || from < 0 || from + PROBE > sides.source_size {
        return differing_at(sides, at, size.min(PROBE), distance, limit);
    }
    differing128(sides.from(from), sides.to(at))
}

/// Number of differing bytes at a distance, at most `limit`; `limit` also where the source ends.
unsafe fn differing_at(sides: &Sides, at: i32, size: i32, distance: i32, limit: i32) -> i32 {
    let from = at + distance;
    if from < 0 || from + size > sides.source_size {
        return limit;
    }
    differing(sides.from(from), sides.to(at), size, limit)
}
