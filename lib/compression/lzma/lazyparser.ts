import { commonLength } from '../words.ts';
import type { SymbolCoder } from './coder.ts';
import { type MatchFinder, MIN_HASHED } from './matchfinder.ts';
import { MAX_MATCH, MIN_MATCH } from './model.ts';
import { FIRST_MATCH_STEP, LITERAL_STEP, type Parser } from './symbols.ts';

/** Bytes that are parsed at once. */
const SPAN = 1024;
/** Farther matches of two bytes cost more than literals. */
const NEAR = 128;
/** Beyond these distances, a repeated match is preferred even if it is two or three bytes shorter. */
const FAR = 512;
const VERY_FAR = 32768;
/** A distance that is smaller by this power of two is worth one byte of length. */
const NEARER_BITS = 7;

/**
 * Chooses symbols without prices: the longest match, unless the next byte has a better one (the lazy matching of LZMA's
 * fast mode). Takes a third of the optimal parser's time, for a few percent more bytes.
 */
export class LazyParser implements Parser {
  readonly lengths = new Uint16Array(SPAN);
  readonly steps = new Int32Array(SPAN);
  readonly #view: DataView;
  readonly #finder: MatchFinder;
  readonly #coder: SymbolCoder;
  readonly #niceLength: number;
  readonly #reps = new Uint32Array(4);
  // the best match at #foundAt: its length, or 1 for none, and its distance minus one
  #foundAt = -1;
  #length = 1;
  #distance = 0;

  constructor(view: DataView, finder: MatchFinder, coder: SymbolCoder, niceLength: number) {
    this.#view = view;
    this.#finder = finder;
    this.#coder = coder;
    this.#niceLength = niceLength;
  }

  reset(): void {
    this.#foundAt = -1;
  }

  parse(start: number, end: number): number {
    const reps = this.#reps;
    reps.set(this.#coder.reps);
    let symbols = 0;
    let at = start;
    for (; at < end && at - start < SPAN; symbols++) {
      if (this.#foundAt !== at) this.#find(at, end);
      const matched = this.#length;
      const distance = this.#distance;
      let which = 0;
      let repeated = 0;
      for (let i = 0; i < 4; i++) {
        const longer = this.#repLength(at, end, i);
        if (longer <= repeated) continue;
        repeated = longer;
        which = i;
      }
      let length = 1;
      let step = LITERAL_STEP;
      if (repeated >= MIN_MATCH && isRepBetter(repeated, matched, distance, this.#niceLength)) {
        length = repeated;
        step = which;
      } else if (matched >= this.#niceLength || (matched >= MIN_MATCH && !this.#isNextBetter(at, end))) {
        length = matched;
        step = FIRST_MATCH_STEP + distance;
      }
      this.lengths[symbols] = length;
      this.steps[symbols] = step;
      if (step > 0) this.#toFront(step);
      at += length;
    }
    return symbols;
  }

  #toFront(step: number): void {
    const reps = this.#reps;
    const isRep = step < FIRST_MATCH_STEP;
    const distance = isRep ? reps[step]! : step - FIRST_MATCH_STEP;
    for (let i = isRep ? step : 3; i > 0; i--) reps[i] = reps[i - 1]!;
    reps[0] = distance;
  }

  /** Finds the best match: prefers a much nearer one of about the same length. */
  #find(at: number, end: number): void {
    const { lengths, distances } = this.#finder;
    const max = Math.min(MAX_MATCH, end - at);
    let last = (max >= MIN_HASHED ? this.#finder.find(at, max) : 0) - 1;
    for (; last > 0; last--) {
      const gained = lengths[last]! - lengths[last - 1]!;
      if (gained > 1 || !isMuchNearer(distances[last - 1]!, distances[last]!)) break;
    }
    this.#foundAt = at;
    this.#length = last < 0 ? 1 : lengths[last]!;
    this.#distance = last < 0 ? 0 : distances[last]!;
    if (this.#length === MIN_MATCH && this.#distance >= NEAR) this.#length = 1;
  }

  /** Whether a better match follows after a literal. Keeps the match of the next byte for `#find`. */
  #isNextBetter(at: number, end: number): boolean {
    const length = this.#length;
    const distance = this.#distance;
    if (at + 1 >= end) return false;
    this.#find(at + 1, end);
    const next = this.#length;
    if (next >= MIN_MATCH) {
      if (next > length + 1) return true;
      if (next === length + 1 && !isMuchNearer(distance, this.#distance)) return true;
      if (next === length && this.#distance < distance) return true;
      if (next === length - 1 && length >= 3 && isMuchNearer(this.#distance, distance)) return true;
    }
    const wanted = Math.max(MIN_MATCH, length - 1);
    for (let which = 0; which < 4; which++) {
      if (this.#repLength(at + 1, Math.min(end, at + 1 + wanted), which) >= wanted) return true;
    }
    return false;
  }

  #repLength(at: number, end: number, which: number): number {
    const from = at - this.#reps[which]! - 1;
    if (from < 0) return 0;
    return commonLength(this.#view, from, at, Math.min(MAX_MATCH, end - at));
  }
}

function isMuchNearer(distance: number, other: number): boolean {
  return distance < other >>> NEARER_BITS;
}

function isRepBetter(repeated: number, matched: number, distance: number, niceLength: number): boolean {
  if (repeated >= niceLength || repeated + 1 >= matched) return true;
  if (repeated + 2 >= matched && distance >= FAR) return true;
  return repeated + 3 >= matched && distance >= VERY_FAR;
}
