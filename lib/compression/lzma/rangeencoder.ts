import { HALF, PROBABILITIES, PROBABILITY_BITS } from './model.ts';

const TOP = 2 ** 24;
const TOTAL = 1 << PROBABILITY_BITS;
const RATE = 5;

/** LZMA's range encoder with adaptive probabilities. Its output buffer holds one chunk. */
export class RangeEncoder {
  readonly probabilities = new Uint16Array(PROBABILITIES).fill(HALF);
  readonly output: Uint8Array<ArrayBuffer>;
  /** Bytes of output so far; `finish` adds up to four. */
  size = 0;
  #low = 0;
  #range = -1;

  constructor(capacity: number) {
    this.output = new Uint8Array(capacity);
  }

  start(): void {
    // the first byte is 0 and takes a carry; the decoder expects it
    this.output[0] = 0;
    this.size = 1;
    this.#low = 0;
    this.#range = -1;
  }

  bit(index: number, bit: number): void {
    const p = this.probabilities[index]!;
    const bound = Math.imul(this.#range >>> PROBABILITY_BITS, p);
    if (bit === 0) {
      this.#range = bound;
      this.probabilities[index] = p + ((TOTAL - p) >>> RATE);
    } else {
      this.#range = (this.#range - bound) | 0;
      this.probabilities[index] = p - (p >>> RATE);
      this.#add(bound);
    }
    if (this.#range >>> 0 < TOP) this.#shift();
  }

  /** Codes the low `count` bits of `value`, highest first, along the tree at `tree`. */
  tree(tree: number, count: number, value: number): void {
    for (let symbol = 1, i = count - 1; i >= 0; i--) {
      const bit = (value >>> i) & 1;
      this.bit(tree + symbol, bit);
      symbol = (symbol << 1) | bit;
    }
  }

  /**
   * Codes a literal's eight bits, highest first, along the trees at `base`. The steps of `bit` are inlined, because
   * most bits of a stream are those of literals.
   *
   * @param expected the byte that predicts the literal up to the first bit that differs; negative for none
   */
  literal(base: number, byte: number, expected: number): void {
    const { probabilities, output } = this;
    let range = this.#range;
    let low = this.#low;
    // the bits above a byte select one of three trees
    let offset = expected < 0 ? 0 : 0x100;
    let symbol = 1;
    for (let i = 7; i >= 0; i--) {
      const bit = (byte >>> i) & 1;
      const predicted = offset & (expected << (8 - i)) & 0x100;
      const index = base + offset + predicted + symbol;
      const p = probabilities[index]!;
      const bound = Math.imul(range >>> PROBABILITY_BITS, p);
      if (bit === 0) {
        range = bound;
        probabilities[index] = p + ((TOTAL - p) >>> RATE);
      } else {
        range = (range - bound) | 0;
        probabilities[index] = p - (p >>> RATE);
        low = (low + bound) | 0;
        if (low >>> 0 < bound >>> 0) this.#carry();
      }
      if (range >>> 0 < TOP) {
        output[this.size++] = low >>> 24;
        low <<= 8;
        range <<= 8;
      }
      if (bit !== predicted >>> 8) offset = 0;
      symbol = (symbol << 1) | bit;
    }
    this.#range = range;
    this.#low = low;
  }

  /** Codes the low `count` bits of `value`, lowest first. */
  reverseTree(tree: number, count: number, value: number): void {
    for (let symbol = 1, i = 0; i < count; i++) {
      const bit = (value >>> i) & 1;
      this.bit(tree + symbol, bit);
      symbol = (symbol << 1) | bit;
    }
  }

  /** Codes the low `count` bits of `value`, highest first, at probability 1/2. */
  direct(value: number, count: number): void {
    for (let i = count - 1; i >= 0; i--) {
      this.#range >>>= 1;
      if ((value >>> i) & 1) this.#add(this.#range);
      if (this.#range >>> 0 < TOP) this.#shift();
    }
  }

  finish(): void {
    for (let i = 0; i < 4; i++) this.#shift();
  }

  #add(bound: number): void {
    const low = (this.#low + bound) | 0;
    if (low >>> 0 < bound >>> 0) this.#carry();
    this.#low = low;
  }

  #carry(): void {
    let i = this.size - 1;
    while (this.output[i] === 0xff) this.output[i--] = 0;
    this.output[i]!++;
  }

  #shift(): void {
    this.output[this.size++] = this.#low >>> 24;
    this.#low <<= 8;
    this.#range <<= 8;
  }
}
