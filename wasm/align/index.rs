//! An index of the seeds of a buffer.
use super::compare::Sides;
use super::memory::{ensure, load32};
use core::slice::from_raw_parts;

/// Bytes of a seed. A place is found if this many bytes are equal.
pub const SEED: i32 = 8;
/// Binary logarithm of the number of slots at most. Entries and slots take 4 bytes each.
const MAX_BITS: u32 = 21;
/// Binary logarithm of the entries per slot: a small table of slots is quick to fill.
const SHARED_BITS: u32 = 2;
/// An entry is an offset with further bits of the hash above it. Buffers have at most 32 MiB.
const OFFSET_BITS: u32 = 25;
const TAG_BITS: u32 = 32 - OFFSET_BITS;
/// Bits of the hash that the filter distinguishes beyond those of a slot, up to FILTER_BITS in all.
const FILTERED: u32 = 5;
const FILTER_BITS: u32 = 24;

/// Entries of a slot that are searched one by one.
const FEW: usize = 16;
/// Seeds that are entered by one call of a function: V8 replaces code by optimized code between two calls, not within one.
const PART: i32 = 1 << 15;

/// An index of 8-byte seeds. Seeds of one slot are adjacent, in the order of the buffer: from `starts[slot]` to
/// `starts[slot + 1]` of the entries. Most look-ups find nothing and end at a bit of the filter, which fits the processor's
/// cache while the tables do not.
pub struct SeedIndex {
    /// Least distance between entries, in bytes of the buffer.
    pub step: i32,
    shift: u32,
    filter_shift: u32,
    filter: *mut u32,
    starts: *mut u32,
    entries: *mut u32,
    end: *mut u8,
}

/// The hash of the seed at `at`.
#[inline(always)]
pub unsafe fn hash_at(at: *const u8) -> u32 {
    let mixed = load32(at).wrapping_mul(0x9e3779b1) ^ load32(at.add(4)).wrapping_mul(0x85ebca6b);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b3c6d)
}

impl SeedIndex {
    /// Indexes every offset of the source, or every second, fourth, ... for at most `max_entries`, by a counting sort over the
    /// slots.
    ///
    /// `tables` is free memory at a multiple of 4, which is grown.
    pub unsafe fn build(sides: &Sides, max_entries: i32, tables: *mut u8) -> SeedIndex {
        let size = sides.source_size;
        let mut step = 1;
        while size as i64 > step as i64 * max_entries as i64 {
            step *= 2;
        }
        let end = (size - SEED + 1).max(0);
        let count = (end as u32).div_ceil(step as u32);
        let bits = (31 - (count + 1).leading_zeros()).saturating_sub(SHARED_BITS).clamp(8, MAX_BITS);
        let filter_bits = (bits + FILTERED).min(FILTER_BITS);
        // one start more for counting, and one for the end of the last slot
        let slots = (1usize << bits) + 2;
        let filter_size = 1usize << (filter_bits - 5);
        let filter = tables as *mut u32;
        let starts = filter.add(filter_size);
        let entries = starts.add(slots);
        let behind = entries.add(count as usize) as *mut u8;
        ensure(behind as usize);
        filter.write_bytes(0, filter_size + slots);
        let index =
            SeedIndex { step, shift: 32 - bits, filter_shift: 32 - filter_bits, filter, starts, entries, end: behind };
        index.visit(end, |from, to, before| index.count(sides, from, to, before));
        let mut sum = 0;
        for slot in 2..slots {
            sum += *starts.add(slot);
            *starts.add(slot) = sum;
        }
        index.visit(end, |from, to, before| index.enter(sides, from, to, before));
        index
    }

    /// Calls with part after part of the offsets, and with the slot of the seed before the part.
    unsafe fn visit(&self, end: i32, part: impl Fn(i32, i32, u32) -> u32) {
        let mut before = u32::MAX;
        let mut at = 0;
        while at < end {
            let to = end.min(at + PART * self.step);
            before = part(at, to, before);
            at = to;
        }
    }

    #[inline(never)]
    unsafe fn count(&self, sides: &Sides, from: i32, to: i32, mut before: u32) -> u32 {
        let mut at = from;
        while at < to {
            let slot = hash_at(sides.from(at)) >> self.shift;
            if slot != before {
                *self.starts.add(slot as usize + 2) += 1;
            }
            before = slot;
            at += self.step;
        }
        before
    }

    #[inline(never)]
    unsafe fn enter(&self, sides: &Sides, from: i32, to: i32, mut before: u32) -> u32 {
        let mut at = from;
        while at < to {
            let hash = hash_at(sides.from(at));
            let slot = hash >> self.shift;
            // only the first of a run of equal seeds is entered
            if slot != before {
                let next = self.starts.add(slot as usize + 1);
                let place = *next;
                *next = place + 1;
                *self.entries.add(place as usize) = at as u32 | (tag_of(hash, self.shift) << OFFSET_BITS);
            }
            *self.filter.add((hash >> (self.filter_shift + 5)) as usize) |= 1 << ((hash >> self.filter_shift) & 31);
            before = slot;
            at += self.step;
        }
        before
    }

    /// Where the tables end.
    pub fn end(&self) -> *mut u8 {
        self.end
    }

    /// The entries of a hash's slot, ascending; none if the filter says that no seed has this hash.
    #[inline(always)]
    pub unsafe fn entries(&self, hash: u32) -> &[u32] {
        let word = *self.filter.add((hash >> (self.filter_shift + 5)) as usize);
        if (word >> ((hash >> self.filter_shift) & 31)) & 1 == 0 {
            return &[];
        }
        let slot = self.starts.add((hash >> self.shift) as usize);
        from_raw_parts(self.entries.add(*slot as usize), (*slot.add(1) - *slot) as usize)
    }

    /// The number of entries of lower offsets.
    #[inline(always)]
    pub fn count_below(&self, entries: &[u32], offset: i32) -> usize {
        let is_below = |entry: &u32| offset_of(*entry) < offset;
        if entries.len() > FEW {
            return entries.partition_point(is_below);
        }
        // without branches: most slots have few entries
        entries.iter().fold(0, |count, entry| count + is_below(entry) as usize)
    }

    /// Whether an entry can be of a seed with this hash.
    #[inline(always)]
    pub fn may_be(&self, entry: u32, hash: u32) -> bool {
        entry >> OFFSET_BITS == tag_of(hash, self.shift)
    }
}

#[inline(always)]
pub fn offset_of(entry: u32) -> i32 {
    (entry & ((1 << OFFSET_BITS) - 1)) as i32
}

#[inline(always)]
fn tag_of(hash: u32, shift: u32) -> u32 {
    (hash >> (shift - TAG_BITS)) & ((1 << TAG_BITS) - 1)
}
