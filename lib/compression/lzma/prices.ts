import {
  ALIGN,
  ALIGN_BITS,
  FIRST_DIRECT_SLOT,
  LENGTH_HIGH,
  LENGTH_LOW,
  LENGTH_MIDDLE,
  LENGTH_STATES,
  MATCH_LENGTH,
  MAX_MATCH,
  MIN_MATCH,
  PROBABILITY_BITS,
  REP_LENGTH,
  SLOT,
  SPECIAL,
} from './model.ts';

/** Prices are in sixteenths of a bit. */
const UNIT_BITS = 4;
const STEP_BITS = 4;
const TOTAL = 1 << PROBABILITY_BITS;

/** The price of a 0 at probability p, at index p >> 4. The price of a 1 is that of a 0 at the opposite probability. */
export const BIT_PRICES = Uint8Array.from({ length: TOTAL >> STEP_BITS }, (_, i) =>
  Math.round(-Math.log2((i + 0.5) / (TOTAL >> STEP_BITS)) * (1 << UNIT_BITS)),
);

export function price0(p: number): number {
  return BIT_PRICES[p >>> STEP_BITS]!;
}

export function price1(p: number): number {
  return BIT_PRICES[(TOTAL - 1 - p) >>> STEP_BITS]!;
}

export const SHORT_DISTANCES = 128;
export const LENGTHS = MAX_MATCH + 1;

/** Distances from 4 on with the same two top bits share a slot. */
export function slotOf(distance: number): number {
  if (distance < 4) return distance;
  const top = 31 - Math.clz32(distance);
  return 2 * top + ((distance >>> (top - 1)) & 1);
}

/** Cached prices of lengths and distances. */
export class Prices {
  readonly #probabilities: Uint16Array;
  readonly #positionStates: number;
  /** Prices of a match's and of a repeated match's length, at position state * 274 + length. */
  readonly match: Uint16Array;
  readonly rep: Uint16Array;
  /** Prices of distances below 128, at length state * 128 + distance. */
  readonly short = new Uint16Array(LENGTH_STATES * SHORT_DISTANCES);
  /** Prices of slots with their direct bits, at length state * 64 + slot. */
  readonly slot = new Uint16Array(LENGTH_STATES * 64);
  readonly align = new Uint16Array(1 << ALIGN_BITS);

  constructor(probabilities: Uint16Array, pb: number) {
    this.#probabilities = probabilities;
    this.#positionStates = 1 << pb;
    this.match = new Uint16Array(LENGTHS << pb);
    this.rep = new Uint16Array(LENGTHS << pb);
  }

  /** Computes the prices by the current probabilities. */
  update(): void {
    for (let state = 0; state < this.#positionStates; state++) {
      this.#updateLengths(this.match, MATCH_LENGTH, state);
      this.#updateLengths(this.rep, REP_LENGTH, state);
    }
    this.#updateDistances();
  }

  #updateLengths(prices: Uint16Array, coder: number, state: number): void {
    const p = this.#probabilities;
    const low = price0(p[coder]!);
    const middle = price1(p[coder]!) + price0(p[coder + 1]!);
    const high = price1(p[coder]!) + price1(p[coder + 1]!);
    const at = state * LENGTHS + MIN_MATCH;
    for (let i = 0; i < 8; i++) {
      prices[at + i] = low + this.#tree(coder + LENGTH_LOW + 8 * state, 3, i);
      prices[at + 8 + i] = middle + this.#tree(coder + LENGTH_MIDDLE + 8 * state, 3, i);
    }
    for (let i = 0; i < 256; i++) prices[at + 16 + i] = high + this.#tree(coder + LENGTH_HIGH, 8, i);
  }

  #updateDistances(): void {
    for (let state = 0; state < LENGTH_STATES; state++) {
      for (let slot = 0; slot < 64; slot++) {
        const direct = slot < FIRST_DIRECT_SLOT ? 0 : (slot >>> 1) - 1 - ALIGN_BITS;
        this.slot[64 * state + slot] = this.#tree(SLOT + 64 * state, 6, slot) + (direct << UNIT_BITS);
      }
      for (let distance = 0; distance < SHORT_DISTANCES; distance++) {
        const slot = slotOf(distance);
        const bits = Math.max(0, (slot >>> 1) - 1);
        const base = slot < 4 ? distance : (2 | (slot & 1)) << bits;
        this.short[SHORT_DISTANCES * state + distance] =
          this.slot[64 * state + slot]! + this.#reverseTree(SPECIAL + base - slot, bits, distance);
      }
    }
    for (let i = 0; i < 1 << ALIGN_BITS; i++) this.align[i] = this.#reverseTree(ALIGN, ALIGN_BITS, i);
  }

  #tree(tree: number, count: number, value: number): number {
    let price = 0;
    for (let symbol = 1, i = count - 1; i >= 0; i--) {
      const bit = (value >>> i) & 1;
      const p = this.#probabilities[tree + symbol]!;
      price += bit === 0 ? price0(p) : price1(p);
      symbol = (symbol << 1) | bit;
    }
    return price;
  }

  #reverseTree(tree: number, count: number, value: number): number {
    let price = 0;
    for (let symbol = 1, i = 0; i < count; i++) {
      const bit = (value >>> i) & 1;
      const p = this.#probabilities[tree + symbol]!;
      price += bit === 0 ? price0(p) : price1(p);
      symbol = (symbol << 1) | bit;
    }
    return price;
  }
}
