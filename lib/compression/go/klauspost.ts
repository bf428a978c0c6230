import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { MAX_MATCH, MAX_STORED, matchToken, WINDOW_SIZE } from '../symbols.ts';
import { commonLength, TEXT_MARGIN } from '../words.ts';
import { createKlauspostBlockWriter } from './klauspostblock.ts';

/**
 * Level 5, the default, of klauspost/compress (flate/level5.go): a table of the last position by four bytes, and one
 * of the last two positions by seven. Versions in a range have the same output.
 */
export interface KlauspostDeflater extends Deflater {
  /** Restarts with text that matches may refer to. */
  reset(dictionary: Uint8Array): void;
  flush(): void;
}

interface Traits {
  /** A match found from the end of another may differ in this many first bytes. */
  readonly skipBeginning: number;
  /** Whether long matches are split into as few as possible. */
  readonly isSplitWell: boolean;
  /** Whether headers end with the last code in use. */
  readonly isTrimmed: boolean;
}

/** Traits by the first version with this output. The first entry holds from about 1.14.1 on. */
const VERSIONS = {
  '1.14.4': { skipBeginning: 0, isSplitWell: false, isTrimmed: false },
  '1.15.0': { skipBeginning: 0, isSplitWell: true, isTrimmed: false },
  '1.15.10': { skipBeginning: 2, isSplitWell: true, isTrimmed: false },
  '1.18.2': { skipBeginning: 2, isSplitWell: true, isTrimmed: true },
} as const satisfies Record<string, Traits>;

export type KlauspostVersion = keyof typeof VERSIONS;

const TABLE_SIZE = 1 << 15;
const TABLE_SHIFT = 32 - 15;
const PRIME4 = 0x9e3779b1;
/** Parts of 58295818150454627. */
const PRIME7_HIGH = 0x00cf1bbc;
const PRIME7_LOW = 0xdcbfa563;
const PRIME7_LOW_HIGH = PRIME7_LOW >>> 16;
const PRIME7_LOW_LOW = PRIME7_LOW & 0xffff;
const HISTORY_SIZE = 5 * MAX_STORED;
const INPUT_MARGIN = 11;
const MIN_ENCODED = 13;
/** A shorter rest before a flush is not searched for matches. */
const MIN_SEARCHED = 128;
const MAX_TINY = 32;
/** For matches up to this length, a replacement is searched from their end. */
const MAX_RETRIED = 30;
const HASH_EVERY = 3;
const MAX_POSITION = 2 ** 30;
/** Tables hold position + `current`, so that empty entries are out of reach. */
const FIRST_POSITION = MAX_STORED;

export function createKlauspost(version: KlauspostVersion, out: BitWriter): KlauspostDeflater {
  const { skipBeginning, isSplitWell, isTrimmed }: Traits = VERSIONS[version];
  const blocks = createKlauspostBlockWriter(out, isTrimmed);
  const history = new Uint8Array(HISTORY_SIZE + TEXT_MARGIN);
  const text = new DataView(history.buffer);
  const table = new Int32Array(TABLE_SIZE);
  const longTable = new Int32Array(TABLE_SIZE);
  const longPrevious = new Int32Array(TABLE_SIZE);
  const window = new Uint8Array(MAX_STORED);
  const tokens = new Int32Array(MAX_STORED + 1);
  let size = 0;
  let end = 0;
  let current = FIRST_POSITION;
  let tokenCount = 0;

  function insertLong(hash: number, at: number): void {
    longPrevious[hash] = longTable[hash]!;
    longTable[hash] = at + current;
  }

  /** @param limit end of the comparison; `s` may be beyond it */
  const matchLength = (s: number, t: number, limit: number): number =>
    commonLength(text, s, t, Math.max(limit - s, 0));

  function addBlock(source: Uint8Array): number {
    if (end + source.length > HISTORY_SIZE) {
      const moved = end - WINDOW_SIZE;
      history.copyWithin(0, moved, end);
      current += moved;
      end = WINDOW_SIZE;
    }
    const start = end;
    history.set(source, start);
    end += source.length;
    return start;
  }

  function emitLiterals(from: number, to: number): void {
    for (let i = from; i < to; i++) tokens[tokenCount++] = history[i]!;
  }

  function emitMatch(length: number, offset: number): void {
    for (let left = length; left > 0;) {
      let part = left;
      if (part > MAX_MATCH) {
        // the rest must be long enough for a match
        part = isSplitWell && part > MAX_MATCH + 3 ? MAX_MATCH : MAX_MATCH - 3;
      }
      tokens[tokenCount++] = matchToken(part, offset);
      left -= part;
    }
  }

  function rebase(): void {
    const minimum = current + end - WINDOW_SIZE;
    const moved = (position: number) => (position <= minimum ? 0 : position - current + WINDOW_SIZE);
    for (let i = 0; i < TABLE_SIZE; i++) {
      table[i] = moved(table[i]!);
      longPrevious[i] = longTable[i]! <= minimum ? 0 : moved(longPrevious[i]!);
      longTable[i] = moved(longTable[i]!);
    }
    current = WINDOW_SIZE;
  }

  /** Makes the tokens of a block; none if it has no match. */
  function encode(source: Uint8Array): void {
    if (current >= MAX_POSITION) rebase();
    let s = addBlock(source);
    if (source.length < MIN_ENCODED) return;
    let nextEmit = s;
    const limit = end - INPUT_MARGIN;
    search: for (;;) {
      let nextS = s;
      let length = 0;
      let t = 0;
      for (;;) {
        const hash = shortHash(text, nextS);
        const long = longHash(text, nextS);
        s = nextS;
        nextS = s + 1 + ((s - nextEmit) >> 6);
        if (nextS > limit) break search;
        const shortCandidate = table[hash]! - current;
        const longCandidate = longTable[long]! - current;
        const longCandidate2 = longPrevious[long]! - current;
        table[hash] = s + current;
        insertLong(long, s);
        const value = load(text, s);
        if (s - longCandidate < WINDOW_SIZE) {
          t = longCandidate;
          if (value === load(text, t)) {
            table[shortHash(text, nextS)] = nextS + current;
            insertLong(longHash(text, nextS), nextS);
            if (s - longCandidate2 < WINDOW_SIZE && value === load(text, longCandidate2)) {
              const most = Math.min(s + MAX_MATCH, end);
              length = matchLength(s + 4, t + 4, most) + 4;
              const length2 = matchLength(s + 4, longCandidate2 + 4, most) + 4;
              if (length2 > length) {
                t = longCandidate2;
                length = length2;
              }
            }
            break;
          }
          t = longCandidate2;
          if (s - t < WINDOW_SIZE && value === load(text, t)) {
            table[shortHash(text, nextS)] = nextS + current;
            insertLong(longHash(text, nextS), nextS);
            break;
          }
        }
        t = shortCandidate;
        if (s - t < WINDOW_SIZE && value === load(text, t)) {
          length = matchLength(s + 4, t + 4, Math.min(s + MAX_MATCH, end)) + 4;
          const nextLong = longHash(text, nextS);
          const t1 = longTable[nextLong]! - current;
          const t2 = longPrevious[nextLong]! - current;
          table[shortHash(text, nextS)] = nextS + current;
          insertLong(nextLong, nextS);
          if (nextS - t1 < WINDOW_SIZE) {
            const next = load(text, nextS);
            const most = Math.min(nextS + MAX_MATCH, end);
            let better = load(text, t1) === next ? matchLength(nextS + 4, t1 + 4, most) + 4 : 0;
            if (better > length) {
              t = t1;
            } else {
              better =
                nextS - t2 < WINDOW_SIZE && load(text, t2) === next
                  ? matchLength(nextS + 4, t2 + 4, most) + 4
                  : 0;
              if (better > length) t = t2;
            }
            if (better > length) {
              s = nextS;
              length = better;
            }
          }
          break;
        }
      }
      if (length === 0) length = matchLength(s + 4, t + 4, end) + 4;
      else if (length === MAX_MATCH) length += matchLength(s + length, t + length, end);
      const behind = s + length;
      if (length < MAX_RETRIED && behind < limit) {
        const t2 = longTable[longHash(text, behind)]! - current - length + skipBeginning;
        const s2 = s + skipBeginning;
        const offset = s2 - t2;
        if (t2 >= 0 && offset < WINDOW_SIZE && offset > 0) {
          const length2 = matchLength(s2, t2, end);
          if (length2 > length) {
            t = t2;
            length = length2;
            s = s2;
          }
        }
      }
      while (t > 0 && s > nextEmit && history[t - 1] === history[s - 1]) {
        s--;
        t--;
        length++;
      }
      emitLiterals(nextEmit, s);
      emitMatch(length, s - t);
      s += length;
      nextEmit = s;
      if (nextS >= s) s = nextS + 1;
      if (s >= limit) break;
      hashInside(s - length + 1, s);
      table[shortHash(text, s - 1)] = s - 1 + current;
      insertLong(longHash(text, s - 1), s - 1);
    }
    if (nextEmit < end && tokenCount > 0) emitLiterals(nextEmit, end);
  }

  function hashInside(from: number, to: number): void {
    if (from >= to - 1) return;
    table[shortHash(text, from)] = from + current;
    insertLong(longHash(text, from), from);
    insertLong(longHash(text, from + 1), from + 1);
    table[shortHash(text, from + 2)] = from + 2 + current;
    for (let i = from + 4; i < to - 1; i += HASH_EVERY) {
      insertLong(longHash(text, i), i);
      table[shortHash(text, i + 1)] = i + 1 + current;
    }
  }

  function flushBlock(isFlush: boolean): void {
    const input = window.subarray(0, size);
    if (size < MAX_STORED && size < MIN_SEARCHED) {
      if (size > MAX_TINY) blocks.literals(input, true);
      else if (size > 0) blocks.stored(input);
      // later blocks must not refer to it
      if (size > 0) forget();
    } else {
      tokenCount = 0;
      encode(input);
      if (tokenCount === 0) blocks.stored(input);
      else if (tokenCount > size - (size >> 4)) blocks.literals(input, isFlush);
      else blocks.dynamic(tokens, tokenCount, input, isFlush);
    }
    size = 0;
  }

  function forget(): void {
    table.fill(0);
    longTable.fill(0);
    longPrevious.fill(0);
    current = FIRST_POSITION;
    end = 0;
  }

  return {
    reset(dictionary) {
      forget();
      encode(dictionary);
      tokenCount = 0;
    },
    write(piece) {
      for (let at = 0; at < piece.length;) {
        if (size === MAX_STORED) flushBlock(false);
        const part = piece.subarray(at, at + MAX_STORED - size);
        window.set(part, size);
        size += part.length;
        at += part.length;
      }
    },
    flush() {
      flushBlock(true);
      blocks.flush();
    },
    finish() {
      flushBlock(true);
      blocks.finish();
    },
  };
}

function load(text: DataView, at: number): number {
  return text.getInt32(at, true);
}

function shortHash(text: DataView, at: number): number {
  return Math.imul(text.getInt32(at, true), PRIME4) >>> TABLE_SHIFT;
}

/** The highest bits of the product of a prime and seven bytes, which are the upper part of a 64-bit word. */
function longHash(text: DataView, at: number): number {
  const low24 = text.getInt32(at, true) & 0xffffff;
  // the product of low24 and the prime's lower part, without its last 24 bits, in parts that do not overflow
  const high8 = low24 >>> 16;
  const low16 = low24 & 0xffff;
  const middle = Math.imul(low16, PRIME7_LOW_HIGH);
  const rest = Math.imul(high8, PRIME7_LOW_LOW) + (Math.imul(low16, PRIME7_LOW_LOW) >>> 16);
  const carry = ((middle & 0xff) + (rest & 0xff)) >>> 8;
  const carried = (Math.imul(high8, PRIME7_LOW_HIGH) << 8) + (middle >>> 8) + (rest >>> 8) + carry;
  const high = Math.imul(text.getInt32(at + 3, true), PRIME7_LOW);
  return (carried + high + Math.imul(low24 << 8, PRIME7_HIGH)) >>> TABLE_SHIFT;
}
