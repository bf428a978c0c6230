import type { BitWriter } from '../bits.ts';
import {
  buildTable,
  firstState,
  highBit,
  nextState,
  normalized,
  tableLogOf,
  writeDistribution,
  type FseTable,
} from './fse.ts';

/** Writes the sequences of a zstd block (RFC 8878, section 3.1.1.3.2) like klauspost/compress. */

/** A block as literals and sequences. */
export interface BlockContent {
  readonly literals: Uint8Array;
  literalCount: number;
  // for each sequence: literals before the match, length of the match - 3, and the offset + 3 or 1 for the last offset
  readonly litLengths: Int32Array;
  readonly matchLengths: Int32Array;
  readonly offsets: Int32Array;
  count: number;
}

export interface SequenceWriter {
  /** @returns whether the sequences could be coded; if not, discard the output */
  write(content: BlockContent): boolean;
  /** Restores the tables of the last block, because this one is not written. */
  undo(): void;
}

export const BLOCK_SIZE = 128 * 1024;
export const MAX_SEQUENCES = BLOCK_SIZE / 4 + 1;
const MAX_TABLE_LOG = 8;
const MODE_PREDEFINED = 0;
const MODE_RUN = 1;
const MODE_NEW = 2;
const MODE_REPEAT = 3;
const TOO_LARGE = 2 ** 32 - 1;

// RFC 8878, section 3.1.1.3.2.1.1
const LIT_BITS = extraBits(16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const MATCH_BITS = extraBits(32, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const LIT_CODES = codesOf(LIT_BITS, 64);
const MATCH_CODES = codesOf(MATCH_BITS, 128);
const litCode = (length: number): number => (length < 64 ? LIT_CODES[length]! : highBit(length) + 19);
const matchCode = (length: number): number => (length < 128 ? MATCH_CODES[length]! : highBit(length) + 36);

// section 3.1.1.3.2.2
const PREDEFINED = {
  lit: predefined(
    6,
    [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1],
    4,
  ),
  offset: predefined(5, [1, 1, 1, 1, 1, 1, 2, 2, 2, ...Array<number>(15).fill(1)], 5),
  match: predefined(6, [1, 4, 3, 2, 2, 2, 2, 2, 2, ...Array<number>(37).fill(1)], 7),
};

/** The state for coding one of the three numbers of a sequence. */
interface SequenceCoder {
  readonly fallback: FseTable;
  readonly counts: Uint32Array;
  readonly codes: Uint8Array;
  previous: FseTable | undefined;
}

interface Choice {
  readonly mode: number;
  /** Undefined if all sequences have the same code. */
  readonly table: FseTable | undefined;
}

export function createSequenceWriter(body: BitWriter): SequenceWriter {
  const lit = sequenceCoder(PREDEFINED.lit);
  const offset = sequenceCoder(PREDEFINED.offset);
  const match = sequenceCoder(PREDEFINED.match);
  const coders = [lit, offset, match];
  let before: (FseTable | undefined)[] = [];

  function assignCodes({ litLengths, matchLengths, offsets, count }: BlockContent): void {
    for (const { counts } of coders) counts.fill(0);
    for (let i = 0; i < count; i++) {
      const a = litCode(litLengths[i]!);
      const b = highBit(offsets[i]!);
      const c = matchCode(matchLengths[i]!);
      lit.codes[i] = a;
      offset.codes[i] = b;
      match.codes[i] = c;
      lit.counts[a]!++;
      offset.counts[b]!++;
      match.counts[c]!++;
    }
  }

  function writeCount(count: number): void {
    if (count < 128) body.bytes(Uint8Array.of(count));
    else if (count < 0x7f00) body.bytes(Uint8Array.of(128 + (count >> 8), count));
    else body.bytes(Uint8Array.of(255, count - 0x7f00, (count - 0x7f00) >> 8));
  }

  function write(content: BlockContent): boolean {
    const { litLengths, matchLengths, offsets, count } = content;
    writeCount(count);
    assignCodes(content);
    const chosen = coders.map((each) => choose(each, count));
    const [a, b, c] = chosen;
    if (!a || !b || !c) return false;
    body.bytes(Uint8Array.of((a.mode << 6) | (b.mode << 4) | (c.mode << 2)));
    for (const [i, choice] of [a, b, c].entries()) {
      if (choice.mode === MODE_RUN) body.bytes(coders[i]!.codes.subarray(0, 1));
      else if (choice.mode === MODE_NEW) writeDistribution(choice.table!, body);
    }
    // the last sequence is written first
    let litState = 0;
    let offsetState = 0;
    let matchState = 0;
    for (let i = count - 1; i >= 0; i--) {
      const litSymbol = lit.codes[i]!;
      const offsetSymbol = offset.codes[i]!;
      const matchSymbol = match.codes[i]!;
      if (i === count - 1) {
        if (a.table) litState = firstState(a.table, litSymbol);
        if (b.table) offsetState = firstState(b.table, offsetSymbol);
        if (c.table) matchState = firstState(c.table, matchSymbol);
      } else {
        if (b.table) offsetState = nextState(b.table, offsetState, offsetSymbol, body);
        if (c.table) matchState = nextState(c.table, matchState, matchSymbol, body);
        if (a.table) litState = nextState(a.table, litState, litSymbol, body);
      }
      writeExtra(litLengths[i]!, LIT_BITS[litSymbol]!);
      writeExtra(matchLengths[i]!, MATCH_BITS[matchSymbol]!);
      writeExtra(offsets[i]!, offsetSymbol);
    }
    for (const [state, { table }] of [
      [matchState, c],
      [offsetState, b],
      [litState, a],
    ] as const) {
      if (table) body.bits(state & ((1 << table.tableLog) - 1), table.tableLog);
    }
    body.bits(1, 1);
    body.align();
    for (const [i, choice] of [a, b, c].entries()) keep(coders[i]!, choice);
    return true;
  }

  function writeExtra(value: number, bits: number): void {
    const low = Math.min(bits, 16);
    body.bits(value & ((1 << low) - 1), low);
    if (bits > 16) body.bits((value >>> 16) & ((1 << (bits - 16)) - 1), bits - 16);
  }

  return {
    write(content) {
      before = coders.map(({ previous }) => previous);
      return write(content);
    },
    undo() {
      for (const [i, coder] of coders.entries()) coder.previous = before[i];
    },
  };
}

function sequenceCoder(fallback: FseTable): SequenceCoder {
  return { fallback, counts: new Uint32Array(64), codes: new Uint8Array(MAX_SEQUENCES), previous: undefined };
}

/** @returns undefined if no table can be made */
function choose({ counts, previous, fallback }: SequenceCoder, total: number): Choice | undefined {
  let symbolCount = counts.length;
  while (counts[symbolCount - 1] === 0) symbolCount--;
  const occurring = counts.subarray(0, symbolCount);
  if (occurring.at(-1) === total) return { mode: MODE_RUN, table: undefined };
  const tableLog = tableLogOf(total, total, symbolCount, MAX_TABLE_LOG);
  const norm = normalized(occurring, total, tableLog);
  if (!norm) return undefined;
  const table = buildTable({ norm, tableLog });
  const fresh = sizeIn(table, occurring) + (((symbolCount * tableLog) >> 3) + 3) * 8;
  const freshSize = fresh + ((fresh + 256) >>> 4);
  const fallbackSize = sizeIn(fallback, occurring);
  const previousSize = previous ? sizeIn(previous, occurring) : TOO_LARGE;
  if (fallbackSize <= previousSize && fallbackSize <= freshSize) {
    return { mode: MODE_PREDEFINED, table: fallback };
  }
  return previousSize <= freshSize ? { mode: MODE_REPEAT, table: previous } : { mode: MODE_NEW, table };
}

/** Keeps the table, which the next block may reuse. */
function keep(coder: SequenceCoder, { mode, table }: Choice): void {
  if (mode === MODE_NEW) coder.previous = table;
  else if (mode !== MODE_REPEAT) coder.previous = undefined;
}

/** Estimated size of symbols in a table's codes, in bits; TOO_LARGE if a symbol has no code. */
function sizeIn({ norm, tableLog, deltaBits }: FseTable, counts: Uint32Array): number {
  if (norm.length < counts.length) return TOO_LARGE;
  const size = 1 << tableLog;
  let cost = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] === 0) continue;
    if (norm[i] === 0) return TOO_LARGE;
    const bits = (deltaBits[i]! >>> 16) + 1;
    const below = (bits << 16) - (deltaBits[i]! + size);
    const each = bits * 256 - ((below << 8) >>> tableLog);
    if (each > (tableLog + 1) << 8) return TOO_LARGE;
    cost += counts[i]! * each;
  }
  return cost >>> 8;
}

/** Extra bits by code. The first `noneCount` codes have none. */
function extraBits(noneCount: number, others: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: noneCount + others.length }, (_, i) => others[i - noneCount] ?? 0);
}

function predefined(tableLog: number, norm: readonly number[], lowCount: number): FseTable {
  return buildTable({ tableLog, norm: Int16Array.of(...norm, ...Array<number>(lowCount).fill(-1)) });
}

/** Codes of small values, by value. */
function codesOf(bits: Uint8Array, count: number): Uint8Array {
  const codes = new Uint8Array(count);
  for (let i = 0, code = 0, next = 1; i < count; i++) {
    if (i === next) next += 1 << bits[++code]!;
    codes[i] = code;
  }
  return codes;
}
