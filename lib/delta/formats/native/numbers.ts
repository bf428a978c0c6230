import { createModels, type BitCoder } from './bitcoder.ts';

/** Numbers of any size by their magnitude, then by the bits below the highest: the first of these have models, too. */

const MAGNITUDE_BITS = 6;
const MAGNITUDES = 1 << MAGNITUDE_BITS;
/** Bits below the highest that are modelled. */
const MODELLED = 4;
const EVEN = 2 ** 15;
/** Larger numbers have no place in a patch. */
export const MAX_NUMBER = 2 ** 45;

const SIZE = MAGNITUDES + (MAGNITUDES << MODELLED);

/** Models of numbers in some contexts. */
export class NumberModels {
  readonly #models: Int32Array;

  constructor(contexts: number) {
    this.#models = createModels(contexts * SIZE);
  }

  /** @param value from 0 to MAX_NUMBER - 2 */
  code(coder: BitCoder, context: number, value: number): number {
    const models = this.#models;
    const base = context * SIZE;
    let magnitude = highestBit(value + 1);
    let node = 1;
    for (let i = MAGNITUDE_BITS - 1; i >= 0; i--) {
      node = node * 2 + coder.bit(models, base + node, (magnitude >>> i) & 1);
    }
    magnitude = node - MAGNITUDES;
    const mantissas = base + MAGNITUDES + (magnitude << MODELLED);
    let found = 1;
    for (let i = magnitude - 1, modelled = 1; i >= 0; i--) {
      const bit = bitOf(value + 1, i);
      let coded: number;
      if (modelled < 1 << MODELLED) {
        coded = coder.bit(models, mantissas + modelled, bit);
        modelled = modelled * 2 + coded;
      } else coded = coder.fixed(EVEN, bit);
      found = found * 2 + coded;
    }
    return found - 1;
  }
}

function highestBit(value: number): number {
  if (value < 2 ** 31) return 31 - Math.clz32(value);
  return 31 + highestBit(Math.floor(value / 2 ** 31));
}

function bitOf(value: number, i: number): number {
  return value < 2 ** 31 ? (value >>> i) & 1 : Math.floor(value / 2 ** i) % 2;
}
