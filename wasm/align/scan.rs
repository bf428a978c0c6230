//! The scan of the target for seeds of the source.
use super::compare::Sides;
use super::index::{hash_at, offset_of, SeedIndex, SEED};
use super::items::Items;
use super::memory::load64;

/// Equal bytes that another place has to gain over the current distance (as in bsdiff).
const MARGIN: i32 = 8;
/// A run of this many equal bytes at the current distance ends the search for a better place.
const RUN: i32 = 16;
/// Entries of a slot that are examined to either side of the current distance.
const MAX_IN_SLOT: usize = 32;
/// Equal bytes that pay for an alignment at another distance than the one before.
const MIN_EQUAL: i32 = 20;
const LONG: i32 = 64;
/// No distance is so large.
const NONE: i32 = i32::MIN;

#[derive(Clone, Copy)]
pub struct Settings {
    /// Places compared for one seed to either side of the current distance.
    pub max_places: usize,
    /// How far apart seeds are at most that are looked up where nothing is found.
    pub max_skip: i32,
    /// The skip grows by one for each 2 ** skip_bits bytes without a find.
    pub skip_bits: i32,
}

/// Bytes of the target that are scanned by one call of a function: V8 replaces code by optimized code between two calls.
const PART: i32 = 1 << 16;

/// A scan of the target. A place that fits better than the current distance starts a new alignment; both extend over single
/// differences until they meet.
struct Scan<'a> {
    sides: &'a Sides,
    index: &'a SeedIndex,
    settings: Settings,
    stride: i32,
    at: i32,
    /// Start of the current alignment, and the end of its verified part: 0 where there is none.
    begin: i32,
    anchor: i32,
    distance: i32,
}

/// Adds the alignments of the target to `out`.
pub unsafe fn scan(sides: &Sides, index: &SeedIndex, settings: Settings, out: &mut Items) {
    // with a fine index some offsets of the target suffice; stride and step have no common factor
    let stride = match index.step {
        1 => 4,
        2 | 4 => 3,
        _ => 1,
    };
    let mut scan = Scan { sides, index, settings, stride, at: 0, begin: 0, anchor: 0, distance: NONE };
    let end = sides.target_size - SEED + 1;
    while scan.at < end {
        scan.run(end.min(scan.at + PART), out);
    }
    let Scan { begin, anchor, distance, .. } = scan;
    if anchor > 0 {
        let length = anchor - begin + sides.extension(anchor + distance, anchor, i32::MAX);
        out.push(begin, begin + distance, length);
    }
}

impl Scan<'_> {
    /// Scans up to an offset, or beyond it.
    #[inline(never)]
    unsafe fn run(&mut self, end: i32, out: &mut Items) {
        let Scan { sides, index, settings, stride, .. } = *self;
        let mut t = self.at;
        while t < end {
            if self.anchor > 0 {
                let run = sides.common_length(t + self.distance, t);
                if run >= RUN {
                    t += run;
                    self.anchor = t;
                    continue;
                }
            }
            let (found, length) = longest(sides, index, t, self.distance, settings.max_places);
            if found < 0 {
                // the search gets sparser the longer nothing is found
                t += stride + settings.max_skip.min((t - self.anchor) >> settings.skip_bits);
                continue;
            }
            if self.anchor == 0 {
                self.begin = t - sides.extension_back(found, t, 0);
            } else {
                let equal = sides.equal_bytes(t + self.distance, t, length);
                if length <= equal + MARGIN {
                    t += if length > 2 * SEED { length >> 1 } else { stride };
                    continue;
                }
                self.begin = self.change(t, found - t, out);
            }
            self.distance = found - t;
            t += length;
            self.anchor = t;
        }
        self.at = t;
    }

    /// Ends the current alignment for one at another distance, found at `t`. Returns the start of the new one.
    unsafe fn change(&self, t: i32, next: i32, out: &mut Items) -> i32 {
        let Scan { sides, begin, anchor, distance, .. } = *self;
        let mut end = anchor + sides.extension(anchor + distance, anchor, t - anchor);
        let mut start = t - sides.extension_back(t + next, t, begin);
        if start < end {
            start = sides.border(distance, next, start, end);
            end = start;
        }
        out.push(begin, begin + distance, end - begin);
        start
    }
}

/// The place of the source that equals the target longest from `t` on, and the length; -1 if there is none but the one at the
/// current distance. Places nearest to it are examined, because content that moves mostly stays in order.
#[inline(always)]
unsafe fn longest(sides: &Sides, index: &SeedIndex, t: i32, distance: i32, max_places: usize) -> (i32, i32) {
    let mut found = -1;
    let mut best = SEED - 1;
    let hash = hash_at(sides.to(t));
    let entries = index.entries(hash);
    if entries.is_empty() {
        return (found, best);
    }
    let seed = load64(sides.to(t));
    let mut examine = |s: i32| {
        // a match that is no longer than the best one differs there
        if s - t != distance && load64(sides.from(s)) == seed && *sides.from(s + best) == *sides.to(t + best) {
            let length = SEED + sides.common_length(s + SEED, t + SEED);
            if length > best {
                best = length;
                found = s;
            }
        }
    };
    let here = if distance == NONE { t } else { t + distance };
    let (below, above) = entries.split_at(index.count_below(entries, here));
    let may_be = |entry: &&u32| index.may_be(**entry, hash);
    for entry in below.iter().rev().take(MAX_IN_SLOT).filter(may_be).take(max_places) {
        examine(offset_of(*entry));
    }
    for entry in above.iter().take(MAX_IN_SLOT).filter(may_be).take(max_places) {
        examine(offset_of(*entry));
    }
    (found, best)
}

/// Leaves out alignments too short for any format: they cost more than they save.
pub unsafe fn prune(sides: &Sides, items: &mut Items) {
    let count = items.count;
    items.count = 0;
    let mut before = NONE;
    for i in 0..count {
        let item = items.get(i);
        let distance = item.source - item.target;
        let is_short =
            item.length < LONG && sides.equal_bytes(item.source, item.target, item.length) < MIN_EQUAL;
        if is_short && distance != before {
            continue;
        }
        before = distance;
        items.push(item.target, item.source, item.length);
    }
}
