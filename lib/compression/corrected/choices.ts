import { NotDeflate } from './inflate.ts';

/**
 * A binary arithmetic coder with one interface for both directions. A model calls it for each choice with the actual
 * value: a writer encodes the value and returns it, a reader ignores it and returns the decoded value. So the same
 * model code encodes and decodes.
 */
export interface Choices {
  /** Codes one bit. @param context 0 to CONTEXTS - 1: similar choices share a context */
  bit(context: number, value: number): number;
  /** Codes the low `count` bits, highest first, in 2^`count` contexts. */
  tree(context: number, count: number, value: number): number;
  /** Codes `count` bits of probability 1/2, at most 24. */
  direct(count: number, value: number): number;
}

export interface ChoiceWriter extends Choices {
  /** Bytes so far. */
  readonly size: number;
  /** Ends the output. @returns all bytes */
  end(): Uint8Array<ArrayBuffer>;
}

export const CONTEXTS = 8192;
const PROBABILITY_BITS = 15;
const HALF = 1 << (PROBABILITY_BITS - 1);
const RATE = 6;
/** Bytes that a reader may read beyond the end. */
const BEHIND = 3;

/** The probability of a set bit by context, never 0 or 1. */
function createProbabilities(): Uint16Array {
  return new Uint16Array(CONTEXTS).fill(HALF);
}

function moved(p: number, bit: number): number {
  return bit ? p + (((1 << PROBABILITY_BITS) - p) >> RATE) : p - (p >> RATE);
}

/** The end of the part of the range from `low` to `high` that stands for a set bit. */
function middle(low: number, high: number, p: number): number {
  const range = high - low;
  return low + Math.floor(range / (1 << PROBABILITY_BITS)) * p;
}

function withTrees(bit: Choices['bit'], raw: (bit: number) => number) {
  return {
    tree(context: number, count: number, value: number): number {
      let symbol = 1;
      for (let i = count - 1; i >= 0; i--) {
        symbol = (symbol << 1) | bit(context + symbol, (value >>> i) & 1);
      }
      return symbol - (1 << count);
    },
    direct(count: number, value: number): number {
      let found = 0;
      for (let i = count - 1; i >= 0; i--) found = (found << 1) | raw((value >>> i) & 1);
      return found;
    },
  };
}

export function createChoiceWriter(): ChoiceWriter {
  const probabilities = createProbabilities();
  let out = new Uint8Array(1024);
  let size = 0;
  let low = 0;
  let high = 0xffffffff;

  function shift(): void {
    while ((low ^ high) >>> 24 === 0) {
      if (size === out.length) {
        const larger = new Uint8Array(2 * size);
        larger.set(out);
        out = larger;
      }
      out[size++] = high >>> 24;
      low = (low << 8) >>> 0;
      high = ((high << 8) | 0xff) >>> 0;
    }
  }

  function put(bit: number, p: number): void {
    const split = middle(low, high, p);
    if (bit) high = split;
    else low = split + 1;
    shift();
  }

  function bit(context: number, value: number): number {
    const p = probabilities[context]!;
    put(value, p);
    probabilities[context] = moved(p, value);
    return value;
  }

  function raw(value: number): number {
    put(value, HALF);
    return value;
  }

  return {
    bit,
    ...withTrees(bit, raw),
    get size() {
      return size;
    },
    end() {
      // a reader takes zeros after the end
      const last = Uint8Array.of(high >>> 24);
      const whole = new Uint8Array(size + 1);
      whole.set(out.subarray(0, size));
      whole.set(last, size);
      return whole;
    },
  };
}

/** @throws NotDeflate if more is read than was written */
export function createChoiceReader(bytes: Uint8Array): Choices {
  const probabilities = createProbabilities();
  let at = 0;
  let low = 0;
  let high = 0xffffffff;
  let code = 0;
  for (let i = 0; i < 4; i++) code = ((code << 8) | (bytes[at++] ?? 0)) >>> 0;

  function get(p: number): number {
    const split = middle(low, high, p);
    const bit = code <= split ? 1 : 0;
    if (bit) high = split;
    else low = split + 1;
    while ((low ^ high) >>> 24 === 0) {
      low = (low << 8) >>> 0;
      high = ((high << 8) | 0xff) >>> 0;
      code = ((code << 8) | (bytes[at++] ?? 0)) >>> 0;
    }
    if (at > bytes.length + BEHIND) throw new NotDeflate('it ends too soon');
    return bit;
  }

  function bit(context: number): number {
    const p = probabilities[context]!;
    const found = get(p);
    probabilities[context] = moved(p, found);
    return found;
  }

  return {
    bit,
    ...withTrees(bit, () => get(HALF)),
  };
}
