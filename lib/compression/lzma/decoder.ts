import * as model from './model.ts';

const { IS_MATCH, IS_REP, IS_REP0_LONG, SLOT, SPECIAL, ALIGN, ALIGN_BITS, FIRST_DIRECT_SLOT } = model;
const { LENGTH_LOW, LENGTH_MIDDLE, LENGTH_HIGH, MATCH_LENGTH, REP_LENGTH, LITERAL, LITERAL_STATES } = model;
const { STATES, LENGTH_STATES, MIN_MATCH, PROBABILITY_BITS } = model;
const TOP = 2 ** 24;
const TOTAL = 1 << model.PROBABILITY_BITS;
const RATE = 5;
/** Of a dictionary, in bytes. */
const INITIAL_SIZE = 2 ** 14;

/**
 * Decodes LZMA into a dictionary, which is a ring buffer. Written here, because the existing packages need native
 * builds at sites. Safe for any input: it accesses only its arrays, stops at the requested length, and reports at the
 * end whether the chunk was sound.
 */
export class LzmaDecoder {
  /** Grows up to the size of the dictionary: most streams are shorter, and memory costs time. */
  dictionary: Uint8Array;
  readonly #maxSize: number;
  /** Index of the next byte in the dictionary. */
  position = 0;
  /** Number of bytes before the position that may be copied. */
  #filled = 0;
  readonly #probabilities = new Uint16Array(model.PROBABILITIES);
  #properties = model.DEFAULT_PROPERTIES;
  #state = 0;
  readonly #reps = new Uint32Array(4);
  /** Remaining bytes of the current match. */
  #matchLeft = 0;
  #chunk = new Uint8Array(0);
  #at = 0;
  #range = 0;
  #code = 0;
  #inside = true;

  /** @param size of the dictionary in bytes, a multiple of 16 */
  constructor(size: number) {
    this.#maxSize = size;
    this.dictionary = new Uint8Array(Math.min(size, INITIAL_SIZE));
  }

  resetDictionary(): void {
    this.position = 0;
    this.#filled = 0;
    // the first literal's context is the byte at the other end of the ring
    this.dictionary[this.dictionary.length - 1] = 0;
  }

  resetState(properties = this.#properties): void {
    this.#properties = properties;
    this.#probabilities.fill(model.HALF);
    this.#state = 0;
    this.#reps.fill(0);
    this.#matchLeft = 0;
  }

  /** Starts a chunk of at least 5 compressed bytes. */
  startChunk(chunk: Uint8Array<ArrayBuffer>): void {
    this.#chunk = chunk;
    this.#range = -1;
    this.#code = (chunk[1]! << 24) | (chunk[2]! << 16) | (chunk[3]! << 8) | chunk[4]!;
    this.#at = 5;
    this.#inside = chunk[0] === 0;
  }

  /** Whether decoding used all bytes of the chunk and no distance pointed outside the dictionary. */
  get sound(): boolean {
    return this.#inside && this.#at === this.#chunk.length && this.#code === 0 && this.#matchLeft === 0;
  }

  /** Appends uncompressed bytes, which must not reach beyond the end of the dictionary. */
  store(bytes: Uint8Array): void {
    this.dictionary.set(bytes, this.position);
    this.#moveTo(this.position + bytes.length);
  }

  #moveTo(position: number): void {
    this.#filled = Math.min(this.#filled + position - this.position, this.#maxSize);
    this.position = position;
    if (position < this.dictionary.length) return;
    if (position === this.#maxSize) this.position = 0;
    else this.#grow();
  }

  /** Grows the dictionary, which has not wrapped around yet. */
  #grow(): void {
    const old = this.dictionary;
    this.dictionary = new Uint8Array(Math.min(this.#maxSize, 2 * old.length));
    this.dictionary.set(old);
  }

  /** Decodes until the position is `end`, at most the dictionary's present size, where it grows or wraps around. */
  decode(end: number): void {
    const { lc, lp, pb } = this.#properties;
    const literalMask = (1 << lp) - 1;
    const positionMask = (1 << pb) - 1;
    const probabilities = this.#probabilities;
    const dictionary = this.dictionary;
    const size = dictionary.length;
    const chunk = this.#chunk;
    const reps = this.#reps;
    const available = this.#filled - this.position;
    let position = this.position;
    let range = this.#range;
    let code = this.#code;
    let at = this.#at;
    let state = this.#state;
    let rep0 = reps[0]!;
    let length = this.#matchLeft;
    let inside = this.#inside;
    let p = 0;
    let bound = 0;
    // the range decoder's steps are inlined: as functions they would halve the speed
    for (;;) {
      if (length > 0) {
        let from = position - rep0 - 1;
        if (from < 0) from += size;
        const stop = Math.min(position + length, end);
        length -= stop - position;
        while (position < stop) {
          dictionary[position++] = dictionary[from++]!;
          if (from === size) from = 0;
        }
      }
      if (position >= end) break;
      const positionState = position & positionMask;

      // literal or match
      let index = IS_MATCH + (state << 4) + positionState;
      p = probabilities[index]!;
      bound = Math.imul(range >>> PROBABILITY_BITS, p);
      const literal = code >>> 0 < bound >>> 0;
      if (literal) {
        range = bound;
        probabilities[index] = p + ((TOTAL - p) >>> RATE);
      } else {
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        probabilities[index] = p - (p >>> RATE);
      }
      if (range >>> 0 < TOP) {
        range <<= 8;
        code = (code << 8) | chunk[at++]!;
      }
      if (literal) {
        const previous = dictionary[position === 0 ? size - 1 : position - 1]!;
        const base = LITERAL + 0x300 * (((position & literalMask) << lc) + (previous >>> (8 - lc)));
        let symbol = 1;
        if (state >= LITERAL_STATES) {
          // after a match, the byte at its distance predicts the literal up to the first bit that differs
          const from = position - rep0 - 1;
          const match = dictionary[from < 0 ? from + size : from]! | 0x100;
          for (let shift = 7; symbol < 0x100; shift--) {
            const expected = (match >>> shift) & 1;
            index = base + 0x100 + (expected << 8) + symbol;
            p = probabilities[index]!;
            bound = Math.imul(range >>> PROBABILITY_BITS, p);
            if (code >>> 0 < bound >>> 0) {
              range = bound;
              probabilities[index] = p + ((TOTAL - p) >>> RATE);
              symbol <<= 1;
            } else {
              range = (range - bound) | 0;
              code = (code - bound) | 0;
              probabilities[index] = p - (p >>> RATE);
              symbol = (symbol << 1) | 1;
            }
            if (range >>> 0 < TOP) {
              range <<= 8;
              code = (code << 8) | chunk[at++]!;
            }
            if ((symbol & 1) !== expected) break;
          }
        }
        while (symbol < 0x100) {
          index = base + symbol;
          p = probabilities[index]!;
          bound = Math.imul(range >>> PROBABILITY_BITS, p);
          if (code >>> 0 < bound >>> 0) {
            range = bound;
            probabilities[index] = p + ((TOTAL - p) >>> RATE);
            symbol <<= 1;
          } else {
            range = (range - bound) | 0;
            code = (code - bound) | 0;
            probabilities[index] = p - (p >>> RATE);
            symbol = (symbol << 1) | 1;
          }
          if (range >>> 0 < TOP) {
            range <<= 8;
            code = (code << 8) | chunk[at++]!;
          }
        }
        dictionary[position++] = symbol;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }

      // new distance, or which of the last four
      let kind = 0;
      for (; kind < 4; kind++) {
        index = IS_REP + kind * STATES + state;
        p = probabilities[index]!;
        bound = Math.imul(range >>> PROBABILITY_BITS, p);
        const found = code >>> 0 < bound >>> 0;
        if (found) {
          range = bound;
          probabilities[index] = p + ((TOTAL - p) >>> RATE);
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probabilities[index] = p - (p >>> RATE);
        }
        if (range >>> 0 < TOP) {
          range <<= 8;
          code = (code << 8) | chunk[at++]!;
        }
        if (found) break;
      }
      if (kind === 1) {
        index = IS_REP0_LONG + (state << 4) + positionState;
        p = probabilities[index]!;
        bound = Math.imul(range >>> PROBABILITY_BITS, p);
        const short = code >>> 0 < bound >>> 0;
        if (short) {
          range = bound;
          probabilities[index] = p + ((TOTAL - p) >>> RATE);
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probabilities[index] = p - (p >>> RATE);
        }
        if (range >>> 0 < TOP) {
          range <<= 8;
          code = (code << 8) | chunk[at++]!;
        }
        if (short) {
          state = state < LITERAL_STATES ? 9 : 11;
          length = 1;
          inside &&= rep0 < position + available;
          continue;
        }
      } else if (kind > 1) {
        const distance = reps[kind - 1]!;
        if (kind === 4) reps[3] = reps[2]!;
        if (kind >= 3) reps[2] = reps[1]!;
        reps[1] = rep0;
        rep0 = distance;
      }

      // low, middle or high length
      const lengthBase = kind === 0 ? MATCH_LENGTH : REP_LENGTH;
      let choice = 0;
      for (; choice < 2; choice++) {
        index = lengthBase + choice;
        p = probabilities[index]!;
        bound = Math.imul(range >>> PROBABILITY_BITS, p);
        const found = code >>> 0 < bound >>> 0;
        if (found) {
          range = bound;
          probabilities[index] = p + ((TOTAL - p) >>> RATE);
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probabilities[index] = p - (p >>> RATE);
        }
        if (range >>> 0 < TOP) {
          range <<= 8;
          code = (code << 8) | chunk[at++]!;
        }
        if (found) break;
      }
      let tree =
        lengthBase +
        (choice === 2 ? LENGTH_HIGH : (positionState << 3) + (choice === 0 ? LENGTH_LOW : LENGTH_MIDDLE));
      const lengths = choice === 2 ? 0x100 : 8;
      let symbol = 1;
      while (symbol < lengths) {
        index = tree + symbol;
        p = probabilities[index]!;
        bound = Math.imul(range >>> PROBABILITY_BITS, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probabilities[index] = p + ((TOTAL - p) >>> RATE);
          symbol <<= 1;
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probabilities[index] = p - (p >>> RATE);
          symbol = (symbol << 1) | 1;
        }
        if (range >>> 0 < TOP) {
          range <<= 8;
          code = (code << 8) | chunk[at++]!;
        }
      }
      length = symbol - lengths + (choice << 3) + MIN_MATCH;

      if (kind > 0) {
        state = state < LITERAL_STATES ? 8 : 11;
      } else {
        state = state < LITERAL_STATES ? 7 : 10;
        tree = SLOT + (Math.min(length - MIN_MATCH, LENGTH_STATES - 1) << 6);
        let slot = 1;
        while (slot < 64) {
          index = tree + slot;
          p = probabilities[index]!;
          bound = Math.imul(range >>> PROBABILITY_BITS, p);
          if (code >>> 0 < bound >>> 0) {
            range = bound;
            probabilities[index] = p + ((TOTAL - p) >>> RATE);
            slot <<= 1;
          } else {
            range = (range - bound) | 0;
            code = (code - bound) | 0;
            probabilities[index] = p - (p >>> RATE);
            slot = (slot << 1) | 1;
          }
          if (range >>> 0 < TOP) {
            range <<= 8;
            code = (code << 8) | chunk[at++]!;
          }
        }
        slot -= 64;
        let distance = slot;
        if (slot >= 4) {
          let bits = (slot >>> 1) - 1;
          distance = (2 | (slot & 1)) << bits;
          tree = SPECIAL + distance - slot;
          if (slot >= FIRST_DIRECT_SLOT) {
            for (; bits > ALIGN_BITS; bits--) {
              range >>>= 1;
              const one = code >>> 0 >= range ? 1 : 0;
              if (one === 1) {
                code = (code - range) | 0;
                distance += 1 << (bits - 1);
              }
              if (range >>> 0 < TOP) {
                range <<= 8;
                code = (code << 8) | chunk[at++]!;
              }
            }
            tree = ALIGN;
          }
          symbol = 1;
          for (let bit = 0; bit < bits; bit++) {
            index = tree + symbol;
            p = probabilities[index]!;
            bound = Math.imul(range >>> PROBABILITY_BITS, p);
            if (code >>> 0 < bound >>> 0) {
              range = bound;
              probabilities[index] = p + ((TOTAL - p) >>> RATE);
              symbol <<= 1;
            } else {
              range = (range - bound) | 0;
              code = (code - bound) | 0;
              probabilities[index] = p - (p >>> RATE);
              symbol = (symbol << 1) | 1;
            }
            if (range >>> 0 < TOP) {
              range <<= 8;
              code = (code << 8) | chunk[at++]!;
            }
            distance += (symbol & 1) << bit;
          }
        }
        reps[3] = reps[2]!;
        reps[2] = reps[1]!;
        reps[1] = rep0;
        rep0 = distance >>> 0;
      }
      if (rep0 >= Math.min(position + available, size)) {
        inside = false;
        rep0 = 0;
      }
    }
    this.#moveTo(position);
    this.#range = range;
    this.#code = code;
    this.#at = at;
    this.#state = state;
    reps[0] = rep0;
    this.#matchLeft = length;
    this.#inside = inside;
  }
}
