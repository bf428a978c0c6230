import { PanamaxError } from '../../../errors.ts';

/**
 * A binary range coder with adaptive probabilities. It computes with integers alone, so every machine makes the same
 * bytes. A model is one Int32Array element: the probability of a 1 in the upper 22 bits, a count of coded bits below.
 */

const COUNT_BITS = 10;
const COUNT_MASK = (1 << COUNT_BITS) - 1;
const PROBABILITY_ONE = 2 ** 22 - 1;
/** Bits after which a model adapts no slower. */
export const ADAPTATION_LIMIT = 255;
/** Probabilities of 16 bits are kept this far from 0 and from 1. */
const MARGIN = 24;
const TOP_BYTE = 0xff000000;
/** Bytes that a decoder reads ahead, and those it supplies at most behind the end. */
const READ_AHEAD = 4;
const SUPPLIED = 2 * READ_AHEAD;

/** Share of the error, in 2^-15, by which a model moves after so many bits. */
const RATES = Int32Array.from({ length: COUNT_MASK + 1 }, (_, n) => Math.floor((2 * 32768) / (2 * n + 3)));

export function createModels(count: number): Int32Array {
  return new Int32Array(count).fill(1 << 31);
}

/** Codes bits in one direction: an encoder writes `bit` and returns it, a decoder ignores `bit` and returns its own. */
export interface BitCoder {
  bit(models: Int32Array, index: number, bit: number): number;
  /** @param probability of a 1, in 2^-16, from 24 to 65,512 */
  fixed(probability: number, bit: number): number;
}

export function adapt(models: Int32Array, index: number, bit: number, limit = ADAPTATION_LIMIT): void {
  const model = models[index]!;
  const count = model & COUNT_MASK;
  const probability = model >>> COUNT_BITS;
  const error = (bit === 0 ? 0 : PROBABILITY_ONE) - probability;
  const moved = probability + (((error >> 7) * RATES[count]!) >> 8);
  models[index] = (moved << COUNT_BITS) | (count < limit ? count + 1 : count);
}

/** In 2^-16. */
export function probabilityOf(model: number): number {
  const probability = model >>> 16;
  return probability < MARGIN ? MARGIN : probability > 65536 - MARGIN ? 65536 - MARGIN : probability;
}

/** Where the lower part, which stands for a 1, ends. */
function border(low: number, high: number, probability: number): number {
  const range = (high - low) >>> 0;
  return (low + (range >>> 16) * probability + (((range & 0xffff) * probability) >>> 16)) | 0;
}

export class BitEncoder implements BitCoder {
  #low = 0;
  #high = -1;
  #bytes = new Uint8Array(1024);
  #size = 0;

  bit(models: Int32Array, index: number, bit: number): number {
    this.fixed(probabilityOf(models[index]!), bit);
    adapt(models, index, bit);
    return bit;
  }

  fixed(probability: number, bit: number): number {
    const middle = border(this.#low, this.#high, probability);
    if (bit === 0) this.#low = (middle + 1) | 0;
    else this.#high = middle;
    while (((this.#low ^ this.#high) & TOP_BYTE) === 0) {
      this.#write(this.#high >>> 24);
      this.#low <<= 8;
      this.#high = (this.#high << 8) | 255;
    }
    return bit;
  }

  /** All bytes, without those at the end that a decoder supplies itself. */
  finish(): Uint8Array<ArrayBuffer> {
    // one byte above `low` names a place between both, as a decoder reads zeros behind the end
    if ((this.#low | 0) !== 0) this.#write(((this.#low >>> 24) + 1) & 255);
    let length = this.#size;
    // a decoder reads at most so many bytes ahead, and takes zeros behind the end for no more than SUPPLIED bytes
    while (length > 0 && length > this.#size - READ_AHEAD && this.#bytes[length - 1] === 0) length--;
    return this.#bytes.slice(0, length);
  }

  #write(byte: number): void {
    if (this.#size === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#size);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#size++] = byte;
  }
}

/** Behind the end of its bytes it reads zeros: the checksum of the group shows damage. */
export class BitDecoder implements BitCoder {
  readonly #bytes: Uint8Array;
  #at = 0;
  #low = 0;
  #high = -1;
  #code = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let i = 0; i < 4; i++) this.#shift();
  }

  bit(models: Int32Array, index: number): number {
    const bit = this.fixed(probabilityOf(models[index]!));
    adapt(models, index, bit);
    return bit;
  }

  fixed(probability: number): number {
    const middle = border(this.#low, this.#high, probability);
    const bit = this.#code >>> 0 <= middle >>> 0 ? 1 : 0;
    if (bit === 0) this.#low = (middle + 1) | 0;
    else this.#high = middle;
    while (((this.#low ^ this.#high) & TOP_BYTE) === 0) {
      this.#low <<= 8;
      this.#high = (this.#high << 8) | 255;
      this.#shift();
    }
    return bit;
  }

  /** @throws PanamaxError `bad-patch` where far more was read than there is */
  checkEnd(): void {
    if (this.#at > this.#bytes.length + SUPPLIED)
      throw new PanamaxError('bad-patch', 'a coded section ends early');
  }

  #shift(): void {
    this.#code = (this.#code << 8) | (this.#bytes[this.#at] ?? 0);
    this.#at++;
  }
}
