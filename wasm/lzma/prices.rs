//! Prices of symbols by the current probabilities, in sixteenths of a bit.
use super::model::*;
use super::symbols::slot_of;

const UNIT_BITS: u32 = 4;
const STEP_BITS: u32 = 4;

/// The price of a 0 at probability p, at index p >> 4: round(-log2((i + 0.5) / 128) * 16).
const BIT_PRICES: [u8; 128] = [
    128, 103, 91, 83, 77, 73, 69, 65, 63, 60, 58, 56, 54, 52, 50, 49, 47, 46, 45, 43, 42, 41, 40, 39, 38, 37, 36, 35,
    35, 34, 33, 32, 32, 31, 30, 30, 29, 28, 28, 27, 27, 26, 25, 25, 24, 24, 23, 23, 22, 22, 21, 21, 21, 20, 20, 19, 19,
    18, 18, 18, 17, 17, 17, 16, 16, 15, 15, 15, 14, 14, 14, 13, 13, 13, 12, 12, 12, 12, 11, 11, 11, 10, 10, 10, 10, 9,
    9, 9, 9, 8, 8, 8, 7, 7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1,
    1, 0, 0, 0,
];

/// The price of a 1 is that of a 0 at the opposite probability.
#[inline(always)]
pub fn price(p: u16, bit: u32) -> u32 {
    let chosen = p as u32 ^ (bit.wrapping_neg() & (TOTAL - 1));
    unsafe { *BIT_PRICES.get_unchecked((chosen >> STEP_BITS) as usize) as u32 }
}

#[inline(always)]
pub fn price0(p: u16) -> u32 {
    price(p, 0)
}

#[inline(always)]
pub fn price1(p: u16) -> u32 {
    price(p, 1)
}

pub const SHORT_DISTANCES: usize = 128;
pub const LENGTHS: usize = MAX_MATCH as usize + 1;
/// Position states of the properties that LZMA2 allows.
const MAX_POSITION_STATES: usize = 16;

pub struct Prices {
    /// Of the length of a match and of a repeated match, by position state and length.
    pub matched: [[u16; LENGTHS]; MAX_POSITION_STATES],
    pub repeated: [[u16; LENGTHS]; MAX_POSITION_STATES],
    /// Of distances below 128, by length state.
    pub short: [[u16; SHORT_DISTANCES]; LENGTH_STATES as usize],
    /// Of slots with their direct bits, by length state.
    pub slot: [[u16; 64]; LENGTH_STATES as usize],
    pub align: [u16; 1 << ALIGN_BITS],
}

impl Prices {
    pub fn update(&mut self, p: &[u16; PROBABILITIES], pb: u32) {
        for state in 0..1 << pb {
            update_lengths(&mut self.matched[state], p, MATCH_LENGTH, state);
            update_lengths(&mut self.repeated[state], p, REP_LENGTH, state);
        }
        self.update_distances(p);
    }

    fn update_distances(&mut self, p: &[u16; PROBABILITIES]) {
        for state in 0..LENGTH_STATES as usize {
            tree_prices(&mut self.slot[state], &p[SLOT + 64 * state..], 0);
            for slot in FIRST_DIRECT_SLOT..64 {
                self.slot[state][slot as usize] += (((slot >> 1) - 1 - ALIGN_BITS) << UNIT_BITS) as u16;
            }
        }
        for distance in 0..SHORT_DISTANCES {
            let slot = slot_of(distance as u32) as usize;
            let bits = (slot as u32 >> 1).saturating_sub(1);
            let base = if slot < 4 { distance } else { (2 | (slot & 1)) << bits };
            let low = reverse_tree_price(&p[SPECIAL + base - slot..], bits, distance as u32);
            for state in 0..LENGTH_STATES as usize {
                self.short[state][distance] = self.slot[state][slot] + low;
            }
        }
        for i in 0..1 << ALIGN_BITS {
            self.align[i] = reverse_tree_price(&p[ALIGN..], ALIGN_BITS, i as u32);
        }
    }
}

fn update_lengths(prices: &mut [u16; LENGTHS], p: &[u16; PROBABILITIES], coder: usize, state: usize) {
    let choice = p[coder];
    let second = p[coder + 1];
    let low = price0(choice) as u16;
    let middle = (price1(choice) + price0(second)) as u16;
    let high = (price1(choice) + price1(second)) as u16;
    let prices = &mut prices[MIN_MATCH as usize..];
    tree_prices(&mut prices[..8], &p[coder + LENGTH_LOW + 8 * state..], low);
    tree_prices(&mut prices[8..16], &p[coder + LENGTH_MIDDLE + 8 * state..], middle);
    tree_prices(&mut prices[16..272], &p[coder + LENGTH_HIGH..], high);
}

/// The price of each value of a tree of `prices.len()` values, and `base`.
fn tree_prices(prices: &mut [u16], tree: &[u16], base: u16) {
    let count = prices.len();
    prices[0] = base;
    // prices of nodes are spread to their two children, level by level
    let mut nodes = 1;
    while nodes < count {
        for i in (0..nodes).rev() {
            let p = tree[nodes + i];
            let before = prices[i];
            prices[2 * i + 1] = before + price1(p) as u16;
            prices[2 * i] = before + price0(p) as u16;
        }
        nodes *= 2;
    }
}

fn reverse_tree_price(tree: &[u16], count: u32, value: u32) -> u16 {
    let mut sum = 0;
    let mut symbol = 1;
    for i in 0..count {
        let bit = (value >> i) & 1;
        sum += price(tree[symbol], bit);
        symbol = (symbol << 1) | bit as usize;
    }
    sum as u16
}
