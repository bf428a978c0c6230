import { FIXED_LITERALS, FIXED_OFFSETS, reversedCode } from '../bits.ts';
import {
  END_OF_BLOCK,
  LENGTH_BASE,
  LENGTH_EXTRA,
  LITERAL_COUNT,
  matchToken,
  OFFSET_BASE,
  OFFSET_COUNT,
  OFFSET_EXTRA,
  RUN_COUNT,
  RUN_EXTRA_BITS,
  RUN_LEAST,
  RUN_ORDER,
} from '../symbols.ts';

/** A block of a DEFLATE stream (RFC 1951, section 3.2.3). */
export type Block = StoredBlock | CodedBlock;

export interface StoredBlock {
  readonly kind: 'stored';
  readonly isLast: boolean;
  /** In bytes. */
  readonly size: number;
}

export interface CodedBlock {
  readonly kind: 'coded';
  readonly isLast: boolean;
  /** Valid until the next block is read. */
  readonly tokens: Int32Array;
  readonly count: number;
  /** Only for blocks with dynamic codes. */
  readonly codes?: BlockCodes;
}

/** Code lengths, and their run-length encoding (section 3.2.7). */
export interface BlockCodes {
  /** Lengths of the codes for literals and lengths, then for offsets. */
  readonly lengths: Uint8Array;
  readonly literalCount: number;
  readonly runLengths: Uint8Array;
  readonly runCount: number;
  readonly items: readonly RunItem[];
}

/** A code length, or a run of them. */
export interface RunItem {
  readonly symbol: number;
  readonly extra: number;
}

/** Reads a stream block by block. */
export interface BlockReader {
  /** Appends bytes of the stream. The caller may reuse their memory. */
  add(piece: Uint8Array): void;
  /** The next block; undefined if more bytes are needed. @throws NotDeflate */
  block(): Block | undefined;
  /** Bytes after padding to a whole byte; undefined if more are needed. @throws NotDeflate if padding is not zero */
  bytes(count: number): Uint8Array | undefined;
  /** The unread bytes from the next whole byte on; valid until more are added. */
  rest(): Uint8Array;
}

/** Thrown for a stream that no encoder makes, or a block that is too large for memory. */
export class NotDeflate extends Error {}

export const MAX_TOKENS = 1 << 20;
const MAX_HELD = 8 * 1024 ** 2;
const MAX_BITS = 15;
const RUN_BITS = 7;

export function createBlockReader(): BlockReader {
  let held = new Uint8Array(1 << 20);
  let end = 0;
  // in bits, from the start of `held`
  let at = 0;
  let isShort = false;
  const tokens = new Int32Array(MAX_TOKENS);
  const literalTable = new Uint16Array(1 << MAX_BITS);
  const offsetTable = new Uint16Array(1 << MAX_BITS);
  const runTable = new Uint16Array(1 << RUN_BITS);

  function peek(): number {
    const byte = at >> 3;
    const word = held[byte]! | (held[byte + 1]! << 8) | (held[byte + 2]! << 16) | (held[byte + 3]! << 24);
    return word >>> (at & 7);
  }

  /** At most 16. */
  function bits(count: number): number {
    const value = peek() & ((1 << count) - 1);
    at += count;
    return value;
  }

  function symbol(table: Uint16Array, most: number): number {
    const entry = table[peek() & ((1 << most) - 1)]!;
    const length = entry & 15;
    if (length === 0) throw new NotDeflate('no such code');
    at += length;
    return entry >> 4;
  }

  function readCodes(): BlockCodes {
    const literalCount = bits(5) + 257;
    const offsetCount = bits(5) + 1;
    const runCount = bits(4) + 4;
    if (literalCount > LITERAL_COUNT || offsetCount > OFFSET_COUNT) throw new NotDeflate('too many codes');
    const runLengths = new Uint8Array(RUN_COUNT);
    for (let i = 0; i < runCount; i++) runLengths[RUN_ORDER[i]!] = bits(3);
    fillTable(runTable, runLengths, RUN_BITS);
    const total = literalCount + offsetCount;
    const lengths = new Uint8Array(total);
    const items: RunItem[] = [];
    for (let i = 0; i < total;) {
      const found = symbol(runTable, RUN_BITS);
      const kind = found - 16;
      const extra = kind < 0 ? 0 : bits(RUN_EXTRA_BITS[kind]!);
      items.push({ symbol: found, extra });
      const run = kind < 0 ? 1 : RUN_LEAST[kind]! + extra;
      if (i + run > total || (found === 16 && i === 0)) throw new NotDeflate('run of lengths too long');
      lengths.fill(kind < 0 ? found : found === 16 ? lengths[i - 1]! : 0, i, i + run);
      i += run;
    }
    return { lengths, literalCount, runLengths, runCount, items };
  }

  function readTokens(): number {
    const last = end * 8;
    for (let count = 0; ; count++) {
      if (at > last) {
        isShort = true;
        return 0;
      }
      if (count === MAX_TOKENS) throw new NotDeflate('a block of too many tokens');
      const literal = symbol(literalTable, MAX_BITS);
      if (literal < END_OF_BLOCK) {
        tokens[count] = literal;
        continue;
      }
      if (literal === END_OF_BLOCK) return count;
      const code = literal - 257;
      if (code > 28) throw new NotDeflate('no such length');
      const length = LENGTH_BASE[code]! + bits(LENGTH_EXTRA[code]!) + 3;
      // length 258 has its own code
      if (code === 27 && length === 258) throw new NotDeflate('a length that is written in another way');
      const slot = symbol(offsetTable, MAX_BITS);
      if (slot > 29) throw new NotDeflate('no such offset');
      tokens[count] = matchToken(length, OFFSET_BASE[slot]! + bits(OFFSET_EXTRA[slot]!) + 1);
    }
  }

  function readBlock(): Block {
    const isLast = bits(1) === 1;
    const type = bits(2);
    if (type === 0) {
      if (bits((8 - (at & 7)) & 7) !== 0) throw new NotDeflate('bits that say nothing are set');
      const size = bits(16);
      if (at + 16 <= end * 8 && bits(16) !== (~size & 0xffff)) throw new NotDeflate('size of a stored block');
      at += 8 * size;
      return { kind: 'stored', isLast, size };
    }
    if (type === 3) throw new NotDeflate('no such block');
    let codes: BlockCodes | undefined;
    if (type === 1) {
      fillTable(literalTable, lengthsOf(FIXED_LITERALS), MAX_BITS);
      fillTable(offsetTable, lengthsOf(FIXED_OFFSETS), MAX_BITS);
    } else {
      codes = readCodes();
      fillTable(literalTable, codes.lengths.subarray(0, codes.literalCount), MAX_BITS);
      fillTable(offsetTable, codes.lengths.subarray(codes.literalCount), MAX_BITS);
    }
    return { kind: 'coded', isLast, tokens, count: readTokens(), ...(codes && { codes }) };
  }

  return {
    add(piece) {
      const from = at >> 3;
      held.copyWithin(0, from, end);
      end -= from;
      at &= 7;
      if (end + piece.length + 8 > held.length) {
        if (end + piece.length > MAX_HELD) throw new NotDeflate('a block of too many bytes');
        const larger = new Uint8Array(2 * (end + piece.length + 8));
        larger.set(held.subarray(0, end));
        held = larger;
      }
      held.set(piece, end);
      end += piece.length;
      // reads beyond the end see zeros; the result is not used
      held.fill(0, end, end + 8);
    },
    block() {
      const start = at;
      isShort = false;
      let block: Block | undefined;
      try {
        block = readBlock();
      } catch (error) {
        // an error beyond the end only means that more bytes are needed
        if (!(error instanceof NotDeflate) || at <= (end - 8) * 8) throw error;
        isShort = true;
      }
      if (!isShort && at <= end * 8) return block;
      at = start;
      return undefined;
    },
    bytes(count) {
      const from = (at + 7) >> 3;
      if (from + count > end) return undefined;
      if (bits((8 - (at & 7)) & 7) !== 0) throw new NotDeflate('bits that say nothing are set');
      at += 8 * count;
      return held.slice(from, from + count);
    },
    rest: () => held.subarray((at + 7) >> 3, end),
  };
}

function lengthsOf(codes: Int32Array): Uint8Array {
  return Uint8Array.from(codes, (code) => code >>> 16);
}

/** Fills a table by the next bits: symbol and, in the low bits, length; 0 for invalid bits. */
function fillTable(table: Uint16Array, lengths: Uint8Array, most: number): void {
  table.fill(0);
  for (const [symbol, code] of canonicalCodes(lengths).entries()) {
    const length = code >>> 16;
    if (length === 0) continue;
    for (let i = code & 0xffff; i < 1 << most; i += 1 << length) table[i] = (symbol << 4) | length;
  }
}

/** The codes for code lengths (section 3.2.2). @throws NotDeflate if there are too many */
export function canonicalCodes(lengths: Uint8Array): Int32Array {
  const counts = new Int32Array(MAX_BITS + 1);
  for (const length of lengths) if (length > 0) counts[length]!++;
  const next = new Int32Array(MAX_BITS + 1);
  for (let length = 1, code = 0; length <= MAX_BITS; length++) {
    code = (code + counts[length - 1]!) << 1;
    if (code + counts[length]! > 1 << length) throw new NotDeflate('too many codes of a length');
    next[length] = code;
  }
  return Int32Array.from(lengths, (length) => (length === 0 ? 0 : reversedCode(next[length]!++, length)));
}
