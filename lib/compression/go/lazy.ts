import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { MAX_MATCH, matchToken, WINDOW_SIZE } from '../symbols.ts';
import { commonLength, TEXT_MARGIN } from '../words.ts';
import { createGoBlockWriter } from './block.ts';

/** Levels 2 to 9 of Go's compress/flate (deflate.go): hash chains over a window that slides by half its buffer. */

const WINDOW_MASK = WINDOW_SIZE - 1;
const MIN_MATCH = 4;
const MIN_LOOKAHEAD = MIN_MATCH + MAX_MATCH;
const HASH_SIZE = 1 << 17;
const HASH_SHIFT = 32 - 17;
const HASH_MULTIPLIER = 0x1e35a7bd;
const MAX_BLOCK_TOKENS = 1 << 14;
const MAX_HASH_OFFSET = 1 << 24;
/** Farther matches of four bytes cost more than literals. */
const MAX_SHORT_OFFSET = 4096;

interface Level {
  /** Shorter matches are deferred for a better one at the next byte. */
  readonly lazy: number;
  /** A match of this length ends the search. */
  readonly nice: number;
  /** Limit of candidates. */
  readonly chain: number;
  /** Without lazy matching: positions inside longer matches are not hashed. */
  readonly skip?: number;
}

const LEVELS: Readonly<Record<number, Level>> = {
  2: { lazy: 0, nice: 16, chain: 8, skip: 5 },
  3: { lazy: 0, nice: 32, chain: 32, skip: 6 },
  4: { lazy: 4, nice: 16, chain: 16 },
  5: { lazy: 16, nice: 32, chain: 32 },
  6: { lazy: 16, nice: 128, chain: 128 },
  7: { lazy: 32, nice: 128, chain: 256 },
  8: { lazy: 128, nice: 258, chain: 1024 },
  9: { lazy: 258, nice: 258, chain: 4096 },
};

/** @param level 2 to 9 */
export function createGoLazy(level: number, out: BitWriter): Deflater {
  const { lazy, nice, chain, skip } = LEVELS[level]!;
  const isLazy = skip === undefined;
  const blocks = createGoBlockWriter(out);
  const window = new Uint8Array(2 * WINDOW_SIZE + TEXT_MARGIN);
  const text = new DataView(window.buffer);
  const hashHead = new Int32Array(HASH_SIZE);
  const hashPrevious = new Int32Array(WINDOW_SIZE);
  const tokens = new Int32Array(MAX_BLOCK_TOKENS + 1);
  let tokenCount = 0;
  /** Added to positions in the tables. */
  let hashOffset = 1;
  let index = 0;
  let end = 0;
  /** Start of the tokens' input; undefined if it has left the window. */
  let blockStart: number | undefined = 0;
  let isLiteralHeld = false;
  let length = MIN_MATCH - 1;
  let offset = 0;
  let chainHead = -1;

  function shift(): void {
    window.copyWithin(0, WINDOW_SIZE, 2 * WINDOW_SIZE);
    index -= WINDOW_SIZE;
    end -= WINDOW_SIZE;
    blockStart = blockStart !== undefined && blockStart >= WINDOW_SIZE ? blockStart - WINDOW_SIZE : undefined;
    hashOffset += WINDOW_SIZE;
    if (hashOffset <= MAX_HASH_OFFSET) return;
    const delta = hashOffset - 1;
    hashOffset -= delta;
    chainHead -= delta;
    for (let i = 0; i < hashPrevious.length; i++) hashPrevious[i] = Math.max(hashPrevious[i]! - delta, 0);
    for (let i = 0; i < hashHead.length; i++) hashHead[i] = Math.max(hashHead[i]! - delta, 0);
  }

  /** Puts a position at the head of its chain. @returns the old head */
  function insert(at: number): number {
    // big-endian
    const word = text.getInt32(at);
    const hash = Math.imul(word, HASH_MULTIPLIER) >>> HASH_SHIFT;
    const head = hashHead[hash]!;
    hashPrevious[at & WINDOW_MASK] = head;
    hashHead[hash] = at + hashOffset;
    return head;
  }

  /** Sets `length` and `offset` if the chain has a match of at least four bytes. */
  function findMatch(lookahead: number): void {
    const maxLength = Math.min(MAX_MATCH, lookahead);
    const enough = Math.min(nice, maxLength);
    const at = index;
    const base = hashOffset;
    const minIndex = Math.max(at - WINDOW_SIZE, 0);
    const first = text.getInt32(at, true);
    let best = MIN_MATCH - 1;
    let wanted = window[at + best]!;
    let candidate = chainHead - base;
    for (let tries = chain; tries > 0; tries--) {
      if (window[candidate + best] === wanted && text.getInt32(candidate, true) === first) {
        const n = commonLength(text, candidate, at, maxLength);
        if (n > best && (n > MIN_MATCH || at - candidate <= MAX_SHORT_OFFSET)) {
          best = n;
          length = n;
          offset = at - candidate;
          if (n >= enough) return;
          wanted = window[at + n]!;
        }
      }
      if (candidate === at - WINDOW_SIZE) return;
      candidate = hashPrevious[candidate & WINDOW_MASK]! - base;
      if (candidate < minIndex) return;
    }
  }

  function flushBlock(upTo: number): void {
    blocks.smallest(
      tokens,
      tokenCount,
      blockStart === undefined || blockStart > upTo ? undefined : window.subarray(blockStart, upTo),
    );
    blockStart = upTo;
    tokenCount = 0;
  }

  function deflate(isLast: boolean): void {
    const maxInsert = end - (MIN_MATCH - 1);
    for (;;) {
      const lookahead = end - index;
      if (lookahead < MIN_LOOKAHEAD && !isLast) return;
      if (lookahead === 0) {
        if (isLiteralHeld) {
          tokens[tokenCount++] = window[index - 1]!;
          isLiteralHeld = false;
        }
        if (tokenCount > 0) flushBlock(index);
        return;
      }
      // at the end of the input the last chain head is kept
      if (index < maxInsert) chainHead = insert(index);
      const previousLength = length;
      const previousOffset = offset;
      length = MIN_MATCH - 1;
      offset = 0;
      const minIndex = Math.max(index - WINDOW_SIZE, 0);
      if (
        chainHead - hashOffset >= minIndex &&
        (isLazy ? lookahead > previousLength && previousLength < lazy : lookahead > MIN_MATCH - 1)
      ) {
        findMatch(lookahead);
      }
      if (isLazy ? previousLength >= MIN_MATCH && length <= previousLength : length >= MIN_MATCH) {
        tokens[tokenCount++] = isLazy
          ? matchToken(previousLength, previousOffset)
          : matchToken(length, offset);
        if (isLazy || length <= skip) {
          const next = isLazy ? index + previousLength - 1 : index + length;
          for (index++; index < next; index++) {
            if (index < maxInsert) insert(index);
          }
          if (isLazy) {
            isLiteralHeld = false;
            length = MIN_MATCH - 1;
          }
        } else {
          index += length;
        }
        if (tokenCount === MAX_BLOCK_TOKENS) flushBlock(index);
        continue;
      }
      if (!isLazy || isLiteralHeld) {
        const at = isLazy ? index - 1 : index;
        tokens[tokenCount++] = window[at]!;
        if (tokenCount === MAX_BLOCK_TOKENS) flushBlock(at + 1);
      }
      index++;
      if (isLazy) isLiteralHeld = true;
    }
  }

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        deflate(false);
        if (index >= 2 * WINDOW_SIZE - MIN_LOOKAHEAD) shift();
        const part = piece.subarray(at, at + 2 * WINDOW_SIZE - end);
        window.set(part, end);
        end += part.length;
        at += part.length;
      }
    },
    finish() {
      deflate(true);
      out.stored(new Uint8Array(), true);
      out.align();
    },
  };
}
