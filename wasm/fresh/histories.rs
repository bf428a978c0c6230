//! Histories of the bits that followed a context: how many zeros and ones, and the last one. A bit makes the count of the other
//! kind smaller: recent bits count more (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005).
//! A history is a byte; 0 is the one without bits.

/// The larger count is at most this, by the smaller one.
const MOST: [usize; 5] = [40, 30, 12, 6, 5];
/// Bits after which the last one is forgotten.
const REMEMBERED: usize = 12;
const COUNTS: usize = MOST[0] + 1;
pub const HISTORIES: usize = 256;

/// By history and bit.
static mut NEXT: [[u8; 2]; HISTORIES] = [[0; 2]; HISTORIES];
/// The probability of a 1 in 2^-16.
static mut FIRST: [u16; HISTORIES] = [0; HISTORIES];

#[inline(always)]
pub unsafe fn next(history: u8, bit: u32) -> u8 {
    *NEXT.get_unchecked(history as usize).get_unchecked(bit as usize)
}

pub unsafe fn first_probability(history: usize) -> u32 {
    FIRST[history] as u32
}

pub unsafe fn start() {
    let mut indexes = [[[0u8; 2]; COUNTS]; COUNTS];
    let mut count = 0;
    for total in 0..2 * COUNTS {
        for zeros in 0..=total {
            let ones = total - zeros;
            if !is_allowed(zeros, ones) {
                continue;
            }
            let is_forgotten = zeros == 0 || ones == 0 || total > REMEMBERED;
            let last = if is_forgotten { 0..1 } else { 0..2 };
            for bit in last {
                indexes[zeros][ones][bit] = count;
                if is_forgotten {
                    indexes[zeros][ones][1] = count;
                }
                count += 1;
            }
        }
    }
    for zeros in 0..COUNTS {
        for ones in 0..COUNTS {
            if !is_allowed(zeros, ones) {
                continue;
            }
            for last in 0..2 {
                let history = indexes[zeros][ones][last] as usize;
                FIRST[history] = (((10 * ones + 4) << 16) / (10 * (zeros + ones) + 8)) as u16;
                let (a, b) = fitting(zeros + 1, fewer(ones));
                NEXT[history][0] = indexes[a][b][0];
                let (a, b) = fitting(fewer(zeros), ones + 1);
                NEXT[history][1] = indexes[a][b][1];
            }
        }
    }
}

fn is_allowed(zeros: usize, ones: usize) -> bool {
    let (few, many) = (zeros.min(ones), zeros.max(ones));
    few < MOST.len() && many <= MOST[few]
}

/// A count after a bit of the other kind.
fn fewer(count: usize) -> usize {
    match count {
        0..=2 => count,
        3 => 2,
        4..=5 => 3,
        6 => 4,
        7..=9 => 5,
        10..=14 => 6,
        15..=22 => 7,
        _ => 8,
    }
}

fn fitting(mut zeros: usize, mut ones: usize) -> (usize, usize) {
    while !is_allowed(zeros, ones) {
        if zeros > ones {
            zeros -= 1;
        } else {
            ones -= 1;
        }
    }
    (zeros, ones)
}
