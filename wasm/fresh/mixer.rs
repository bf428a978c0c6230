//! Mixes predictions in the logistic domain: three sets of weights, chosen by different contexts, each give a prediction, and a
//! fourth mixes these three.
use crate::logistic::{squash, LIMIT};
use core::arch::wasm32::*;

pub const INPUTS: usize = 32;
const LANES: usize = 4;
const VECTORS: usize = INPUTS / LANES;
/// Stretched predictions.
pub type Inputs = [v128; VECTORS];

const SETS: usize = 3;
const FIRST_WEIGHT: i32 = 5957;
const ONE: i32 = 1 << 16;
const RATE: i32 = 14;
/// Error and input times the rate, to weights.
const RATE_SHIFT: u32 = 20;
const FINAL_RATE_SHIFT: u32 = 17;

/// Choices of each set, one behind the other.
const CHOICES: [usize; SETS] = [256, 3 * 256, 8 * 256];
const STARTS: [usize; SETS] = [0, CHOICES[0], CHOICES[0] + CHOICES[1]];
const ALL: usize = CHOICES[0] + CHOICES[1] + CHOICES[2];

#[repr(align(16))]
struct Aligned<const N: usize>([i32; N]);

static mut WEIGHTS: Aligned<{ ALL * INPUTS }> = Aligned([0; ALL * INPUTS]);
static mut FINAL: [[i32; SETS]; 256] = [[ONE / SETS as i32; SETS]; 256];

pub unsafe fn start() {
    WEIGHTS.0.fill(FIRST_WEIGHT);
}

/// What a prediction was made of.
pub struct Mixed {
    weights: [*mut v128; SETS],
    last: *mut [i32; SETS],
    stretched: [i32; SETS],
    /// The result, stretched, and as a probability in 2^-16.
    pub result: i32,
    pub probability: i32,
}

/// `choices` are below those of each set, `last` is below 256.
#[inline(always)]
pub unsafe fn mix(inputs: &Inputs, choices: [usize; SETS], last: usize) -> Mixed {
    let last = FINAL.as_mut_ptr().add(last);
    let mut weights = [core::ptr::null_mut::<v128>(); SETS];
    let mut stretched = [0; SETS];
    let mut total = 0i32;
    for set in 0..SETS {
        weights[set] = WEIGHTS.0.as_mut_ptr().add((STARTS[set] + choices[set]) * INPUTS).cast();
        let mut sums = i32x4_splat(0);
        for i in 0..VECTORS {
            let product = i32x4_mul(inputs[i], v128_load(weights[set].add(i)));
            sums = i32x4_add(sums, i32x4_shr(product, 8));
        }
        let sum = i32x4_extract_lane::<0>(sums)
            .wrapping_add(i32x4_extract_lane::<1>(sums))
            .wrapping_add(i32x4_extract_lane::<2>(sums))
            .wrapping_add(i32x4_extract_lane::<3>(sums));
        stretched[set] = (sum >> 8).clamp(-LIMIT, LIMIT);
        total = total.wrapping_add(stretched[set].wrapping_mul((*last)[set]) >> 8);
    }
    let result = (total >> 8).clamp(-LIMIT, LIMIT);
    Mixed { weights, last, stretched, result, probability: squash(result) }
}

/// Moves the weights of a prediction towards those that would have been better.
#[inline(always)]
pub unsafe fn learn(mixed: &Mixed, inputs: &Inputs, bit: u32) {
    let actual = (bit << 16) as i32 - bit as i32;
    let last_error = actual - mixed.probability;
    for set in 0..SETS {
        let stretched = mixed.stretched[set];
        let weight = &mut (*mixed.last)[set];
        *weight = weight.wrapping_add((stretched * last_error + (1 << (FINAL_RATE_SHIFT - 1))) >> FINAL_RATE_SHIFT);
        let error = i32x4_splat((actual - squash(stretched)) * RATE);
        for i in 0..VECTORS {
            let change = i32x4_mul(inputs[i], error);
            let rounded = i32x4_shr(i32x4_add(change, i32x4_splat(1 << (RATE_SHIFT - 1))), RATE_SHIFT);
            let weights = mixed.weights[set].add(i);
            v128_store(weights, i32x4_add(v128_load(weights), rounded));
        }
    }
}
