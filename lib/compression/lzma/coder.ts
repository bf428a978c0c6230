import {
  ALIGN,
  ALIGN_BITS,
  FIRST_DIRECT_SLOT,
  HALF,
  IS_MATCH,
  IS_REP,
  IS_REP0,
  IS_REP0_LONG,
  IS_REP1,
  IS_REP2,
  LENGTH_HIGH,
  LENGTH_LOW,
  LENGTH_MIDDLE,
  LENGTH_STATES,
  LITERAL,
  LITERAL_STATES,
  MATCH_LENGTH,
  MIN_MATCH,
  type Properties,
  REP_LENGTH,
  SLOT,
  SPECIAL,
} from './model.ts';
import { slotOf } from './prices.ts';
import type { RangeEncoder } from './rangeencoder.ts';

/** The next state after a literal, a match, a repeated match and a short repeated match, by the current state. */
export const AFTER_LITERAL = Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5);
export const AFTER_MATCH = Uint8Array.of(7, 7, 7, 7, 7, 7, 7, 10, 10, 10, 10, 10);
export const AFTER_REP = Uint8Array.of(8, 8, 8, 8, 8, 8, 8, 11, 11, 11, 11, 11);
export const AFTER_SHORT_REP = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 11, 11, 11, 11, 11);

/** Start of the probabilities of a literal. */
export function literalBase({ lc, lp }: Properties, at: number, previous: number): number {
  return LITERAL + 0x300 * (((at & ((1 << lp) - 1)) << lc) + (previous >>> (8 - lc)));
}

interface CoderState {
  readonly probabilities: Uint16Array;
  readonly state: number;
  readonly reps: Uint32Array;
}

/** Writes LZMA's symbols, and keeps the state, the last four distances and the probabilities. */
export class SymbolCoder {
  readonly range: RangeEncoder;
  readonly properties: Properties;
  state = 0;
  readonly reps = new Uint32Array(4);

  constructor(range: RangeEncoder, properties: Properties) {
    this.range = range;
    this.properties = properties;
  }

  reset(): void {
    this.range.probabilities.fill(HALF);
    this.state = 0;
    this.reps.fill(0);
  }

  save(): CoderState {
    return { probabilities: this.range.probabilities.slice(), state: this.state, reps: this.reps.slice() };
  }

  restore(saved: CoderState): void {
    this.range.probabilities.set(saved.probabilities);
    this.state = saved.state;
    this.reps.set(saved.reps);
  }

  /** @param expected the byte at the last distance, which is part of the context after a match */
  literal(at: number, previous: number, byte: number, expected: number): void {
    const range = this.range;
    range.bit(this.#isMatch(at), 0);
    const base = literalBase(this.properties, at, previous);
    range.literal(base, byte, this.state < LITERAL_STATES ? -1 : expected);
    this.state = AFTER_LITERAL[this.state]!;
  }

  /** @param distance minus one */
  match(at: number, distance: number, length: number): void {
    const { range, reps } = this;
    range.bit(this.#isMatch(at), 1);
    range.bit(IS_REP + this.state, 0);
    this.#length(MATCH_LENGTH, at, length);
    const slot = slotOf(distance);
    range.tree(SLOT + (Math.min(length - MIN_MATCH, LENGTH_STATES - 1) << 6), 6, slot);
    if (slot >= 4) {
      const bits = (slot >>> 1) - 1;
      const base = (2 | (slot & 1)) << bits;
      if (slot < FIRST_DIRECT_SLOT) {
        range.reverseTree(SPECIAL + base - slot, bits, distance - base);
      } else {
        range.direct((distance - base) >>> ALIGN_BITS, bits - ALIGN_BITS);
        range.reverseTree(ALIGN, ALIGN_BITS, distance);
      }
    }
    reps.copyWithin(1, 0, 3);
    reps[0] = distance;
    this.state = AFTER_MATCH[this.state]!;
  }

  /** A match at one of the last four distances. Length 1 is a short repeated match, only at the last distance. */
  rep(at: number, which: number, length: number): void {
    const { range, reps } = this;
    range.bit(this.#isMatch(at), 1);
    range.bit(IS_REP + this.state, 1);
    if (which === 0) {
      range.bit(IS_REP0 + this.state, 0);
      range.bit(IS_REP0_LONG + (this.state << 4) + this.#positionState(at), length === 1 ? 0 : 1);
    } else {
      range.bit(IS_REP0 + this.state, 1);
      range.bit(IS_REP1 + this.state, which === 1 ? 0 : 1);
      if (which > 1) range.bit(IS_REP2 + this.state, which - 2);
      const distance = reps[which]!;
      reps.copyWithin(1, 0, which);
      reps[0] = distance;
    }
    if (length === 1) {
      this.state = AFTER_SHORT_REP[this.state]!;
    } else {
      this.#length(REP_LENGTH, at, length);
      this.state = AFTER_REP[this.state]!;
    }
  }

  #length(coder: number, at: number, length: number): void {
    const range = this.range;
    const rest = length - MIN_MATCH;
    const trees = this.#positionState(at) << 3;
    range.bit(coder, rest < 8 ? 0 : 1);
    if (rest < 8) {
      range.tree(coder + LENGTH_LOW + trees, 3, rest);
    } else {
      range.bit(coder + 1, rest < 16 ? 0 : 1);
      if (rest < 16) range.tree(coder + LENGTH_MIDDLE + trees, 3, rest - 8);
      else range.tree(coder + LENGTH_HIGH, 8, rest - 16);
    }
  }

  #isMatch(at: number): number {
    return IS_MATCH + (this.state << 4) + this.#positionState(at);
  }

  #positionState(at: number): number {
    return at & ((1 << this.properties.pb) - 1);
  }
}
