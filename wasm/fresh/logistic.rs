//! Probabilities of 16 bits and their logarithms of odds, `ln(p / (1 - p))` in units of 1/256 within LIMIT.

pub const LIMIT: i32 = 2047;
const STEP_BITS: u32 = 7;
/// 65536 / (1 + e^(-x/2)) for x from -16 to 16.
const LOGISTIC: [i32; 33] = [
    22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768, 40793, 47911, 53581,
    57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514,
];

static mut SQUASHED: [u16; 4096] = [0; 4096];
static mut STRETCHED: [i16; 4096] = [0; 4096];

pub unsafe fn start() {
    for i in 0..4096 {
        let (low, part) = (i >> STEP_BITS, (i & 127) as i32);
        SQUASHED[i] = ((LOGISTIC[low] * (128 - part) + LOGISTIC[low + 1] * part) >> STEP_BITS) as u16;
    }
    let mut x = -LIMIT;
    for (i, stretched) in STRETCHED.iter_mut().enumerate() {
        while x < LIMIT && squash(x) < 16 * i as i32 + 8 {
            x += 1;
        }
        *stretched = x as i16;
    }
}

/// A probability in 2^-16.
#[inline(always)]
pub unsafe fn squash(stretched: i32) -> i32 {
    *SQUASHED.get_unchecked((stretched + 2048) as usize) as i32
}

/// `probability` in 2^-12.
#[inline(always)]
pub unsafe fn stretch(probability: u32) -> i32 {
    *STRETCHED.get_unchecked(probability as usize) as i32
}
