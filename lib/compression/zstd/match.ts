import { commonLength, TEXT_MARGIN } from '../words.ts';
import { BLOCK_SIZE, MAX_SEQUENCES, type BlockContent } from './sequences.ts';
import { highProduct } from './xxhash.ts';

/**
 * Finds matches like klauspost/compress at its default level (zstd/enc_dfast.go): a table of the last position by eight
 * bytes, and one by five.
 */
export interface ZstdMatcher {
  /** The block's literals and sequences; valid until the next call. */
  match(block: Uint8Array): BlockContent;
  /** Like `match`, for a frame's only block, which klauspost/compress searches in another way. */
  matchAlone(block: Uint8Array): BlockContent;
}

const WINDOW_SIZE = 8 * 1024 ** 2;
const HISTORY_SIZE = 2 * WINDOW_SIZE;
/** Most layers need no more. */
const FIRST_HISTORY_SIZE = 512 * 1024;
const LONG_BITS = 17;
const SHORT_BITS = 15;
const INPUT_MARGIN = 10;
const MIN_SEARCHED = 16;
/** The search skips more literals the longer it finds no match. */
const SEARCH_SHIFT = 7;
const MAX_POSITION = 2 ** 31 - 1 - 2 * WINDOW_SIZE;
const PRIME5_HIGH = 0xcf;
const PRIME5_LOW = 0x1bbcdcbb;
const PRIME8_HIGH = 0xcf1bbcdc;
const PRIME8_LOW = 0xb7a56463;

export function createZstdMatcher(): ZstdMatcher {
  let history = new Uint8Array(FIRST_HISTORY_SIZE + TEXT_MARGIN);
  let text = new DataView(history.buffer);
  const longPosition = new Int32Array(1 << LONG_BITS);
  const longValue = new Int32Array(1 << LONG_BITS);
  const shortPosition = new Int32Array(1 << SHORT_BITS);
  const shortValue = new Int32Array(1 << SHORT_BITS);
  const content: BlockContent = {
    literals: new Uint8Array(BLOCK_SIZE),
    literalCount: 0,
    litLengths: new Int32Array(MAX_SEQUENCES),
    matchLengths: new Int32Array(MAX_SEQUENCES),
    offsets: new Int32Array(MAX_SEQUENCES),
    count: 0,
  };
  let size = 0;
  /** Tables hold position + `current`, so that empty entries are out of reach. */
  let current = WINDOW_SIZE;

  function addLiterals(from: number, to: number): void {
    content.literals.set(history.subarray(from, to), content.literalCount);
    content.literalCount += to - from;
  }

  function addSequence(litLength: number, matchLength: number, offset: number): void {
    content.litLengths[content.count] = litLength;
    content.matchLengths[content.count] = matchLength - 3;
    content.offsets[content.count++] = offset;
  }

  function putLong(hash: number, at: number, value: number): void {
    longPosition[hash] = at + current;
    longValue[hash] = value;
  }

  function putShort(hash: number, at: number, value: number): void {
    shortPosition[hash] = at + current;
    shortValue[hash] = value;
  }

  function restart(): void {
    const minimum = current + size - WINDOW_SIZE;
    for (const positions of [shortPosition, longPosition]) {
      for (let i = 0; i < positions.length; i++) {
        positions[i] = positions[i]! < minimum ? 0 : positions[i]! - current + WINDOW_SIZE;
      }
    }
    current = WINDOW_SIZE;
  }

  function grow(least: number): void {
    const larger = new Uint8Array(Math.min(HISTORY_SIZE, Math.max(2 * size, least)) + TEXT_MARGIN);
    larger.set(history.subarray(0, size));
    history = larger;
    text = new DataView(history.buffer);
  }

  function addBlock(block: Uint8Array): number {
    if (size + block.length > HISTORY_SIZE) {
      const moved = size - WINDOW_SIZE;
      history.copyWithin(0, moved, size);
      current += moved;
      size = WINDOW_SIZE;
    }
    if (size + block.length + TEXT_MARGIN > history.length) grow(size + block.length);
    history.set(block, size);
    size += block.length;
    return size - block.length;
  }

  function search(block: Uint8Array, isAlone: boolean): BlockContent {
    content.literalCount = 0;
    content.count = 0;
    if (current >= MAX_POSITION - size) restart();
    let s = addBlock(block);
    const bytes = history;
    const view = text;
    const end = size;
    if (block.length < MIN_SEARCHED) {
      addLiterals(s, end);
      return content;
    }
    const limit = end - INPUT_MARGIN;
    let nextEmit = s;
    let offset1 = 1;
    let offset2 = 4;
    block: for (;;) {
      let t: number;
      const canRepeat = content.count > 2;
      for (;;) {
        const low = view.getInt32(s, true);
        const high = view.getInt32(s + 4, true);
        const long = longHash(low, high);
        const short = shortHash(low, high);
        const longCandidate = longPosition[long]! - current;
        const isLong = longValue[long] === low && s - longCandidate < WINDOW_SIZE;
        const shortCandidate = shortPosition[short]! - current;
        const isShort = shortValue[short] === low && s - shortCandidate < WINDOW_SIZE;
        putLong(long, s, low);
        putShort(short, s, low);
        if (canRepeat) {
          let from = s - offset1 + 1;
          if (from >= 0 && view.getInt32(from, true) === view.getInt32(s + 1, true)) {
            const length = 4 + commonLength(view, s + 5, from + 4, end - s - 5);
            let start = s + 1;
            const first = Math.max(s - WINDOW_SIZE, 0);
            // keep one literal
            while (from > first && start > nextEmit + 1 && bytes[from - 1] === bytes[start - 1]) {
              from--;
              start--;
            }
            s += length + 1;
            addLiterals(nextEmit, start);
            addSequence(start - nextEmit, s - start, 1);
            nextEmit = s;
            if (s >= limit) break block;
            continue;
          }
        }
        if (isLong) {
          t = longCandidate;
          break;
        }
        if (isShort) {
          const nextLow = view.getInt32(s + 1, true);
          const nextHash = longHash(nextLow, view.getInt32(s + 5, true));
          const nextCandidate = longPosition[nextHash]! - current;
          const isNext = longValue[nextHash] === nextLow && s + 1 - nextCandidate < WINDOW_SIZE;
          putLong(nextHash, s + 1, nextLow);
          if (isNext) s++;
          t = isNext ? nextCandidate : shortCandidate;
          break;
        }
        s += 1 + ((s - nextEmit) >> SEARCH_SHIFT);
        if (s >= limit) break block;
      }
      offset2 = offset1;
      offset1 = s - t;
      let length = commonLength(view, s + 4, t + 4, end - s - 4) + 4;
      const first = Math.max(s - WINDOW_SIZE, 0);
      while (t > first && s > nextEmit && bytes[t - 1] === bytes[s - 1]) {
        s--;
        t--;
        length++;
      }
      addLiterals(nextEmit, s);
      addSequence(s - nextEmit, length, s - t + 3);
      s += length;
      nextEmit = s;
      if (s >= limit) break;
      insert(s - length + 1);
      insert(s - 2);
      if (!canRepeat && !(isAlone && content.count > 2)) continue;
      for (;;) {
        const from = s - offset2;
        const low = view.getInt32(s, true);
        if (view.getInt32(from, true) !== low) break;
        const high = view.getInt32(s + 4, true);
        const long = longHash(low, high);
        // the original uses a stale hash in a frame's only block
        const short = isAlone ? aloneHash : shortHash(low, high);
        const repeated = 4 + commonLength(view, s + 4, from + 4, end - s - 4);
        putLong(long, s, low);
        putShort(short, s, low);
        addSequence(0, repeated, 1);
        s += repeated;
        nextEmit = s;
        [offset1, offset2] = [offset2, offset1];
        if (s >= limit) break block;
      }
    }
    addLiterals(nextEmit, end);
    return content;
  }

  /** Hash of the bytes two after the last inserted position. */
  let aloneHash = 0;

  /** Inserts a position into the long table, and the next one into the short table. */
  function insert(at: number): void {
    const low = text.getInt32(at, true);
    const high = text.getInt32(at + 4, true);
    putLong(longHash(low, high), at, low);
    const nextLow = text.getInt32(at + 1, true);
    putShort(shortHash(nextLow, high >>> 8), at + 1, nextLow);
    aloneHash = shortHash(text.getInt32(at + 2, true), high >>> 16);
  }

  return {
    match: (block) => search(block, false),
    matchAlone: (block) => search(block, true),
  };
}

/** Hash of eight bytes, given as two words. */
function longHash(low: number, high: number): number {
  const product = highProduct(low, PRIME8_LOW) + Math.imul(low, PRIME8_HIGH) + Math.imul(high, PRIME8_LOW);
  return product >>> (32 - LONG_BITS);
}

/** Hash of the first five of eight bytes. */
function shortHash(low: number, high: number): number {
  const lowest = low & 0xff;
  const carried =
    (Math.imul(lowest, PRIME5_LOW >>> 16) << 8) + (Math.imul(lowest, PRIME5_LOW & 0xffff) >>> 8);
  const upper = (low >>> 8) | (high << 24);
  return (carried + Math.imul(low << 24, PRIME5_HIGH) + Math.imul(upper, PRIME5_LOW)) >>> (32 - SHORT_BITS);
}
