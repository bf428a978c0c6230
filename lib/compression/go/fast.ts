import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { MAX_MATCH, MAX_STORED, matchToken, WINDOW_SIZE } from '../symbols.ts';
import { createGoBlockWriter } from './block.ts';

/** Level 1 of Go's compress/flate (deflatefast.go): one candidate per hash, blocks of 65535 bytes. */

const TABLE_SIZE = 1 << 14;
const HASH_SHIFT = 32 - 14;
const HASH_MULTIPLIER = 0x1e35a7bd;
const INPUT_MARGIN = 15;
const MIN_ENCODED = 17;
/** A shorter rest at the end is not searched for matches. */
const MIN_SEARCHED = 128;
const MAX_TINY = 16;
/** Positions are absolute, and restart before they exceed this. */
const MAX_POSITION = 0x7fffffff - 2 * MAX_STORED;

const hashOf = (value: number): number => Math.imul(value, HASH_MULTIPLIER) >>> HASH_SHIFT;

export function createGoFast(out: BitWriter): Deflater {
  const blocks = createGoBlockWriter(out);
  /** The last block, then the current one. */
  const buffer = new Uint8Array(2 * MAX_STORED);
  const tableValue = new Int32Array(TABLE_SIZE);
  const tablePosition = new Int32Array(TABLE_SIZE);
  const tokens = new Int32Array(MAX_STORED);
  let tokenCount = 0;
  let previousSize = 0;
  let size = 0;
  /** Absolute position of the block's first byte. */
  let current = MAX_STORED;

  const load = (at: number): number =>
    buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24);

  function emitLiterals(from: number, to: number): void {
    for (let i = from; i < to; i++) tokens[tokenCount++] = buffer[i]!;
  }

  /** Number of equal bytes at `s` and `t`, after a match of four bytes. `t` may be in the last block. */
  function matchLength(s: number, t: number): number {
    if (t < MAX_STORED - previousSize) return 0;
    const end = Math.min(s + MAX_MATCH - 4, MAX_STORED + size);
    let at = s;
    for (let from = t; at < end && buffer[at] === buffer[from]; from++) at++;
    return at - s;
  }

  /** Encodes the block, which starts at MAX_STORED in `buffer`. */
  function encode(): void {
    const base = MAX_STORED;
    const end = base + size;
    if (current >= MAX_POSITION) restart();
    if (size < MIN_ENCODED) {
      current += MAX_STORED;
      previousSize = 0;
      emitLiterals(base, end);
      return;
    }
    const limit = end - INPUT_MARGIN;
    const toTable = current - base;
    let nextEmit = base;
    let s = base;
    let value = load(s);
    let hash = hashOf(value);
    search: for (;;) {
      let skip = 32;
      let next = s;
      let candidate: number;
      for (;;) {
        s = next;
        const step = skip >> 5;
        next = s + step;
        skip += step;
        if (next > limit) break search;
        candidate = tablePosition[hash]!;
        const candidateValue = tableValue[hash]!;
        const following = load(next);
        tablePosition[hash] = s + toTable;
        tableValue[hash] = value;
        hash = hashOf(following);
        if (s + toTable - candidate <= WINDOW_SIZE && value === candidateValue) break;
        value = following;
      }
      emitLiterals(nextEmit, s);
      for (;;) {
        s += 4;
        const t = candidate - toTable + 4;
        const length = matchLength(s, t);
        tokens[tokenCount++] = matchToken(length + 4, s - t);
        s += length;
        nextEmit = s;
        if (s >= limit) break search;
        let x = load(s - 1);
        const previousHash = hashOf(x);
        tablePosition[previousHash] = s + toTable - 1;
        tableValue[previousHash] = x;
        x = load(s);
        const currentHash = hashOf(x);
        candidate = tablePosition[currentHash]!;
        const candidateValue = tableValue[currentHash]!;
        tablePosition[currentHash] = s + toTable;
        tableValue[currentHash] = x;
        if (s + toTable - candidate > WINDOW_SIZE || x !== candidateValue) {
          s++;
          value = load(s);
          hash = hashOf(value);
          break;
        }
      }
    }
    emitLiterals(nextEmit, end);
    current += size;
    buffer.copyWithin(base - size, base, end);
    previousSize = size;
  }

  function restart(): void {
    if (previousSize === 0) {
      tablePosition.fill(0);
      tableValue.fill(0);
    } else {
      for (let i = 0; i < TABLE_SIZE; i++) {
        tablePosition[i] = Math.max(tablePosition[i]! - current + WINDOW_SIZE + 1, 0);
      }
    }
    current = WINDOW_SIZE + 1;
  }

  function flushBlock(): void {
    tokenCount = 0;
    const input = buffer.slice(MAX_STORED, MAX_STORED + size);
    encode();
    if (tokenCount > size - (size >> 4)) blocks.literals(input);
    else blocks.dynamic(tokens, tokenCount, input);
    size = 0;
  }

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        if (size === MAX_STORED) flushBlock();
        const part = piece.subarray(at, at + MAX_STORED - size);
        buffer.set(part, MAX_STORED + size);
        size += part.length;
        at += part.length;
      }
    },
    finish() {
      if (size === MAX_STORED || size >= MIN_SEARCHED) flushBlock();
      else if (size > MAX_TINY) blocks.literals(buffer.subarray(MAX_STORED, MAX_STORED + size));
      else if (size > 0) out.stored(buffer.subarray(MAX_STORED, MAX_STORED + size), false);
      out.stored(new Uint8Array(), true);
      out.align();
    },
  };
}
