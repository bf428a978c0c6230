import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { MAX_MATCH, matchToken, OFFSET_EXTRA, offsetCode, WINDOW_SIZE } from '../symbols.ts';
import { commonLength, TEXT_MARGIN } from '../words.ts';
import { createZlibBlockWriter } from './block.ts';

/**
 * deflate of zlib (deflate.c; memLevel 8, default strategy), and of GNU gzip, which ends blocks by other rules. zlib's
 * output is the same since version 1.2.5 at least, but not that of forks with other hashes (Chromium's in Node,
 * Cloudflare's, zlib-ng).
 */
export interface ZlibDeflater extends Deflater {
  /** Sets text that matches may refer to. Call it before `write`. */
  setDictionary(dictionary: Uint8Array): void;
  /** Ends an open block without aligning to a byte (Z_BLOCK). */
  endBlock(): void;
}

export type ZlibVariant = 'zlib' | 'gzip';

const WINDOW_MASK = WINDOW_SIZE - 1;
const MIN_MATCH = 3;
const MIN_LOOKAHEAD = MAX_MATCH + MIN_MATCH + 1;
const MAX_DISTANCE = WINDOW_SIZE - MIN_LOOKAHEAD;
/** gzip does not search beyond it, which it reaches only at the end of the input. */
const GZIP_LAST_MATCH = 2 * WINDOW_SIZE - MIN_LOOKAHEAD;
const HASH_MASK = (1 << 15) - 1;
const HASH_SHIFT = 5;
/** Farther matches of three bytes cost more than literals. */
const TOO_FAR = 4096;

interface Level {
  /** After a match of this length, only a quarter of the chain is searched. */
  readonly good: number;
  /** Matches of this length are not deferred. At the fast levels, positions inside longer ones are not hashed. */
  readonly lazy: number;
  readonly nice: number;
  readonly chain: number;
}

const LEVELS: Readonly<Record<number, Level>> = {
  1: { good: 4, lazy: 4, nice: 8, chain: 4 },
  2: { good: 4, lazy: 5, nice: 16, chain: 8 },
  3: { good: 4, lazy: 6, nice: 32, chain: 32 },
  4: { good: 4, lazy: 4, nice: 16, chain: 16 },
  5: { good: 8, lazy: 16, nice: 32, chain: 32 },
  6: { good: 8, lazy: 16, nice: 128, chain: 128 },
  7: { good: 8, lazy: 32, nice: 128, chain: 256 },
  8: { good: 32, lazy: 128, nice: 258, chain: 1024 },
  9: { good: 32, lazy: 258, nice: 258, chain: 4096 },
};
const LAST_FAST_LEVEL = 3;

/** @param level 1 to 9 */
export function createZlib(level: number, variant: ZlibVariant, out: BitWriter): ZlibDeflater {
  const { good, lazy, nice, chain } = LEVELS[level]!;
  const isGzip = variant === 'gzip';
  const maxTokens = isGzip ? 0x7fff : 0x3fff;
  const writeBlock = createZlibBlockWriter(out);
  const window = new Uint8Array(2 * WINDOW_SIZE + MAX_MATCH + TEXT_MARGIN);
  const text = new DataView(window.buffer);
  const head = new Uint16Array(HASH_MASK + 1);
  const previous = new Uint16Array(WINDOW_SIZE);
  const tokens = new Int32Array(maxTokens);
  let tokenCount = 0;
  let matchCount = 0;
  /** gzip's estimate of the bits of offsets. */
  let offsetBits = 0;
  let start = 0;
  let lookahead = 0;
  let blockStart = 0;
  /** Number of positions before `start` that need more bytes to be hashed. */
  let unhashed = 0;
  let matchStart = 0;
  let matchLength = MIN_MATCH - 1;
  let isLiteralHeld = false;

  function slide(): void {
    window.copyWithin(0, WINDOW_SIZE, 2 * WINDOW_SIZE);
    matchStart -= WINDOW_SIZE;
    start -= WINDOW_SIZE;
    blockStart -= WINDOW_SIZE;
    moveBack(head);
    moveBack(previous);
  }

  /** Puts a position at the head of its chain. @returns the old head, 0 for none */
  function insert(at: number): number {
    const hash =
      ((window[at]! << (2 * HASH_SHIFT)) ^ (window[at + 1]! << HASH_SHIFT) ^ window[at + 2]!) & HASH_MASK;
    const found = head[hash]!;
    previous[at & WINDOW_MASK] = found;
    head[hash] = at;
    return found;
  }

  /** Copies input to the window. @returns the number of bytes that fit */
  function fill(piece: Uint8Array): number {
    if (start >= WINDOW_SIZE + MAX_DISTANCE) slide();
    const end = start + lookahead;
    const part = piece.subarray(0, 2 * WINDOW_SIZE - end);
    window.set(part, end);
    lookahead += part.length;
    while (unhashed > 0 && lookahead + unhashed >= MIN_MATCH) insert(start - unhashed--);
    return part.length;
  }

  /** Length of the longest match over `best`, or `best` if there is none; sets `matchStart`. */
  function longestMatch(from: number, best: number): number {
    const limit = start > MAX_DISTANCE ? start - MAX_DISTANCE : 0;
    // gzip also compares older text beyond the end of the input
    const maxLength = isGzip ? MAX_MATCH : Math.min(MAX_MATCH, lookahead);
    const enough = isGzip ? nice : Math.min(nice, lookahead);
    let length = best;
    let tries = best >= good ? chain >> 2 : chain;
    const at = start;
    // a better match must end in these two bytes
    let wanted = text.getUint16(at + length - 1, true);
    let candidate = from;
    do {
      if (text.getUint16(candidate + length - 1, true) === wanted) {
        const n = commonLength(text, candidate, at, maxLength);
        if (n > length) {
          matchStart = candidate;
          length = n;
          if (n >= enough) break;
          wanted = text.getUint16(at + length - 1, true);
        }
      }
      candidate = previous[candidate & WINDOW_MASK]!;
    } while (candidate > limit && --tries > 0);
    return Math.min(length, lookahead);
  }

  /** @returns whether the block ends */
  function addLiteral(literal: number): boolean {
    tokens[tokenCount++] = literal;
    return isBlockFull();
  }

  function addMatch(length: number, offset: number): boolean {
    tokens[tokenCount++] = matchToken(length, offset);
    matchCount++;
    if (isGzip) offsetBits += 5 + OFFSET_EXTRA[offsetCode(offset - 1)]!;
    return isBlockFull();
  }

  function isBlockFull(): boolean {
    if (isGzip && level > 2 && (tokenCount & 0xfff) === 0) {
      // ends the block if it seems to compress well
      const reckoned = (tokenCount * 8 + offsetBits) >> 3;
      if (matchCount < tokenCount >> 1 && reckoned < (start - blockStart) >> 1) return true;
    }
    return tokenCount === maxTokens;
  }

  function flushBlock(isLast: boolean): void {
    writeBlock(tokens, tokenCount, blockStart >= 0 ? window.subarray(blockStart, start) : undefined, isLast);
    blockStart = start;
    tokenCount = 0;
    matchCount = 0;
    offsetBits = 0;
  }

  const maySearch = (from: number): boolean =>
    from !== 0 && start - from <= MAX_DISTANCE && (!isGzip || start <= GZIP_LAST_MATCH);
  const canInsert = (at: number, end: number): boolean => isGzip || at + MIN_MATCH <= end;

  function deflateFast(minLookahead: number): void {
    while (lookahead >= minLookahead) {
      const end = start + lookahead;
      const found = canInsert(start, end) ? insert(start) : 0;
      let length = 0;
      if (maySearch(found)) length = longestMatch(found, MIN_MATCH - 1);
      let isFull: boolean;
      if (length >= MIN_MATCH) {
        isFull = addMatch(length, start - matchStart);
        lookahead -= length;
        const next = start + length;
        if (length <= lazy && (isGzip || lookahead >= MIN_MATCH)) {
          for (start++; start < next; start++) insert(start);
        }
        start = next;
      } else {
        isFull = addLiteral(window[start]!);
        lookahead--;
        start++;
      }
      if (isFull) flushBlock(false);
    }
  }

  function deflateSlow(minLookahead: number): void {
    while (lookahead >= minLookahead) {
      const end = start + lookahead;
      const found = canInsert(start, end) ? insert(start) : 0;
      const previousLength = matchLength;
      const previousStart = matchStart;
      matchLength = MIN_MATCH - 1;
      if (previousLength < lazy && maySearch(found)) {
        matchLength = longestMatch(found, previousLength);
        if (matchLength === MIN_MATCH && start - matchStart > TOO_FAR) matchLength = MIN_MATCH - 1;
      }
      if (previousLength >= MIN_MATCH && matchLength <= previousLength) {
        const isFull = addMatch(previousLength, start - 1 - previousStart);
        lookahead -= previousLength - 1;
        const next = start + previousLength - 1;
        for (start++; start < next; start++) {
          if (canInsert(start, end)) insert(start);
        }
        isLiteralHeld = false;
        matchLength = MIN_MATCH - 1;
        if (isFull) flushBlock(false);
      } else {
        if (isLiteralHeld && addLiteral(window[start - 1]!)) flushBlock(false);
        isLiteralHeld = true;
        start++;
        lookahead--;
      }
    }
  }

  const deflate = level <= LAST_FAST_LEVEL ? deflateFast : deflateSlow;

  /** Makes the tokens of all input. */
  function drain(): void {
    // gzip has slid its window before it sees the end of the input
    if (isGzip && start >= WINDOW_SIZE + MAX_DISTANCE) slide();
    if (isGzip) window.fill(0, start + lookahead, start + lookahead + MIN_MATCH - 1);
    deflate(1);
    if (isLiteralHeld) addLiteral(window[start - 1]!);
    isLiteralHeld = false;
    unhashed = Math.min(start, MIN_MATCH - 1);
  }

  return {
    setDictionary(dictionary) {
      const part = dictionary.subarray(-WINDOW_SIZE);
      window.set(part);
      start = part.length;
      blockStart = start;
      for (let at = 0; at + MIN_MATCH <= start; at++) insert(at);
      unhashed = Math.min(start, MIN_MATCH - 1);
    },
    write(piece) {
      for (let at = 0; at < piece.length;) {
        at += fill(piece.subarray(at));
        deflate(MIN_LOOKAHEAD);
      }
    },
    endBlock() {
      drain();
      if (tokenCount > 0) flushBlock(false);
    },
    finish() {
      drain();
      flushBlock(true);
      out.align();
    },
  };
}

/** Subtracts the window's size from each position, down to 0; two positions at once. */
function moveBack(positions: Uint16Array): void {
  const pairs = new Int32Array(positions.buffer);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    // the highest bit of each half tells whether the position is kept
    const kept = pair & 0x80008000;
    pairs[i] = pair & (kept - (kept >>> 15));
  }
}
