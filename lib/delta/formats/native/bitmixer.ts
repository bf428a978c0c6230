import type { BitCoder } from './bitcoder.ts';
import { squash, stretch } from './logistic.ts';

/**
 * Predicts a bit from many contexts at once: a model for each, mixed in the logistic domain by one of several sets of weights,
 * then corrected by the results of such predictions before. All arithmetic is on integers of 32 bits.
 */

/** Stretched probabilities are kept within. */
const LIMIT = 2047;
const STRETCHED = Int16Array.from({ length: 4096 }, (_, i) =>
  Math.min(LIMIT, Math.max(-LIMIT, stretch(16 * i + 8))),
);
const SQUASHED = Int32Array.from({ length: 4096 }, (_, i) => squash(i - 2048));

/** Of models: bits that count how often one was used, and the share of the error by which it moves then, in 2^-16. */
const COUNT_BITS = 10;
const COUNT_MASK = (1 << COUNT_BITS) - 1;
/** Models are stored as differences from this one: a page of unused models is zero and takes no memory. */
const NEW_MODEL = 1 << 31;
const RATES = Int32Array.from({ length: COUNT_MASK + 1 }, (_, n) => Math.floor(131072 / (2 * n + 3)));

const FIRST_WEIGHT = 19661;
const WEIGHT_RATE = 14;
/** Steps of a stretched probability that have a correction of their own, and how fast it moves. */
const STEPS = 33;
const CORRECTION_SHIFT = 6;

export interface BitMixerOptions {
  readonly inputs: number;
  /** Each input has so many models, as a power of 2. */
  readonly tableBits: number;
  readonly weightSets: number;
  readonly correctionSets: number;
  /** Uses of a model after which it adapts no slower. */
  readonly limit: number;
}

export class BitMixer {
  /** The place of the model of each input; the caller sets them before each bit. */
  readonly slots: Int32Array;
  readonly #inputs: Int32Array;
  readonly #models: Int32Array;
  readonly #weights: Int32Array;
  readonly #corrections: Int32Array;
  readonly #limit: number;

  constructor({ inputs, tableBits, weightSets, correctionSets, limit }: BitMixerOptions) {
    this.slots = new Int32Array(inputs);
    this.#inputs = new Int32Array(inputs);
    this.#models = new Int32Array(inputs << tableBits);
    this.#weights = new Int32Array(inputs * weightSets).fill(FIRST_WEIGHT);
    this.#corrections = Int32Array.from(
      { length: STEPS * correctionSets },
      (_, i) => SQUASHED[Math.min(4095, (i % STEPS) * 128)]! << 8,
    );
    this.#limit = limit;
  }

  /** Codes a bit in either direction. */
  code(coder: BitCoder, weightSet: number, correctionSet: number, given: number): number {
    const slots = this.slots;
    const inputs = this.#inputs;
    const models = this.#models;
    const weights = this.#weights;
    const corrections = this.#corrections;
    const count = slots.length;
    const limit = this.#limit;
    const first = weightSet * count;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const stretched = STRETCHED[(models[slots[i]!]! ^ NEW_MODEL) >>> 20]!;
      inputs[i] = stretched;
      sum = (sum + (Math.imul(stretched, weights[first + i]!) >> 4)) | 0;
    }
    sum >>= 12;
    const stretched = (sum > LIMIT ? LIMIT : sum < -LIMIT ? -LIMIT : sum) + 2048;
    const mixed = SQUASHED[stretched]!;
    const part = (stretched << 5) & 4095;
    const step = correctionSet * STEPS + (stretched >> 7);
    const corrected =
      (Math.imul(corrections[step]! >> 8, 4096 - part) + Math.imul(corrections[step + 1]! >> 8, part)) >>> 12;
    const bit = coder.fixed((mixed + corrected) >> 1, given);

    const error = Math.imul((bit << 16) - bit - mixed, WEIGHT_RATE) >> 4;
    const goal = (bit << 22) - bit;
    for (let i = 0; i < count; i++) {
      weights[first + i]! += (Math.imul(inputs[i]!, error) + 0x2000) >> 14;
      const model = models[slots[i]!]! ^ NEW_MODEL;
      const used = model & COUNT_MASK;
      const probability = model >>> COUNT_BITS;
      const moved = probability + (Math.imul((goal - probability) >> 7, RATES[used]!) >> 9);
      models[slots[i]!] = ((moved << COUNT_BITS) | (used < limit ? used + 1 : used)) ^ NEW_MODEL;
    }
    const nearest = part > 2048 ? step + 1 : step;
    corrections[nearest]! += ((bit << 24) - bit - corrections[nearest]!) >> CORRECTION_SHIFT;
    return bit;
  }
}

export function hash2(a: number, b: number): number {
  const mixed = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 0x7f4a7c15, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
}

export function hash3(a: number, b: number, c: number): number {
  return hash2(hash2(a, b), c);
}
