import { countCodes } from '../tokencoder.ts';
import { FIXED_LITERALS, FIXED_OFFSETS, type BitWriter } from '../bits.ts';
import {
  END_OF_BLOCK,
  LENGTH_EXTRA,
  LITERAL_COUNT,
  MAX_STORED,
  OFFSET_COUNT,
  OFFSET_EXTRA,
  RUN_COUNT,
  RUN_ORDER,
} from '../symbols.ts';
import { buildTree, type ZlibTree } from './tree.ts';

/**
 * Writes a block of tokens like zlib and gzip (`_tr_flush_block` of trees.c): stored, fixed or dynamic. `input` is
 * the text of the tokens if it is still in the window.
 */
export type ZlibBlockWriter = (
  tokens: Int32Array,
  count: number,
  input: Uint8Array | undefined,
  isLast: boolean,
) => void;

export function createZlibBlockWriter(out: BitWriter): ZlibBlockWriter {
  const literalFrequencies = new Int32Array(LITERAL_COUNT);
  const offsetFrequencies = new Int32Array(OFFSET_COUNT);
  const runFrequencies = new Int32Array(RUN_COUNT);
  const literals: ZlibTree = { codes: new Int32Array(LITERAL_COUNT), maxCode: 0 };
  const offsets: ZlibTree = { codes: new Int32Array(OFFSET_COUNT), maxCode: 0 };
  const runs: ZlibTree = { codes: new Int32Array(RUN_COUNT), maxCode: 0 };

  /** Size in bits of the tokens, their extra bits and the end of the block. */
  function bodySize(literalCodes: Int32Array, offsetCodes: Int32Array): number {
    let size = 0;
    for (let i = 0; i < LITERAL_COUNT; i++) {
      const extra = i > END_OF_BLOCK ? LENGTH_EXTRA[i - 257]! : 0;
      size += literalFrequencies[i]! * ((literalCodes[i]! >>> 16) + extra);
    }
    for (let i = 0; i < OFFSET_COUNT; i++) {
      size += offsetFrequencies[i]! * ((offsetCodes[i]! >>> 16) + OFFSET_EXTRA[i]!);
    }
    return size;
  }

  function index(tokens: Int32Array, count: number): void {
    countCodes(tokens, count, literalFrequencies, offsetFrequencies);
    literalFrequencies[END_OF_BLOCK] = 1;
  }

  return (tokens, count, input, isLast) => {
    index(tokens, count);
    const fixedBits = bodySize(FIXED_LITERALS, FIXED_OFFSETS);
    buildTree(literalFrequencies, 15, literals);
    buildTree(offsetFrequencies, 15, offsets);
    let dynamicBits = bodySize(literals.codes, offsets.codes);
    const items = [...runsOf(literals), ...runsOf(offsets)];
    runFrequencies.fill(0);
    for (const { symbol } of items) runFrequencies[symbol]!++;
    buildTree(runFrequencies, 7, runs);
    let runCount = RUN_COUNT;
    while (runCount > 3 && runs.codes[RUN_ORDER[runCount - 1]!] === 0) runCount--;
    dynamicBits += 3 * runCount + 5 + 5 + 4;
    for (const { symbol, extraBits } of items) dynamicBits += (runs.codes[symbol]! >>> 16) + extraBits;
    const fixedBytes = (fixedBits + 3 + 7) >> 3;
    const bytes = Math.min((dynamicBits + 3 + 7) >> 3, fixedBytes);
    const last = isLast ? 1 : 0;
    if (input !== undefined && input.length <= MAX_STORED && input.length + 4 <= bytes) {
      out.stored(input, isLast);
      return;
    }
    if (fixedBytes === bytes) {
      out.bits(2 + last, 3);
      out.tokens(tokens, count, FIXED_LITERALS, FIXED_OFFSETS);
      out.code(FIXED_LITERALS[END_OF_BLOCK]!);
      return;
    }
    out.bits(4 + last, 3);
    out.bits(literals.maxCode + 1 - 257, 5);
    out.bits(offsets.maxCode, 5);
    out.bits(runCount - 4, 4);
    for (let i = 0; i < runCount; i++) out.bits(runs.codes[RUN_ORDER[i]!]! >>> 16, 3);
    for (const { symbol, extra, extraBits } of items) {
      out.code(runs.codes[symbol]!);
      out.bits(extra, extraBits);
    }
    out.tokens(tokens, count, literals.codes, offsets.codes);
    out.code(literals.codes[END_OF_BLOCK]!);
  };
}

interface RunItem {
  readonly symbol: number;
  readonly extra: number;
  readonly extraBits: number;
}

/** A tree's code lengths as runs (`scan_tree`). */
function runsOf({ codes, maxCode }: ZlibTree): RunItem[] {
  const items: RunItem[] = [];
  let previous = -1;
  for (let start = 0; start <= maxCode;) {
    const length = codes[start]! >>> 16;
    const maxRun = length === 0 ? 138 : length === previous ? 6 : 7;
    const minRun = length === 0 || length === previous ? 3 : 4;
    let run = 1;
    while (run < maxRun && start + run <= maxCode && codes[start + run]! >>> 16 === length) run++;
    start += run;
    if (run < minRun) {
      for (; run > 0; run--) items.push({ symbol: length, extra: 0, extraBits: 0 });
    } else if (length !== 0) {
      if (length !== previous) {
        items.push({ symbol: length, extra: 0, extraBits: 0 });
        run--;
      }
      items.push({ symbol: 16, extra: run - 3, extraBits: 2 });
    } else if (run <= 10) {
      items.push({ symbol: 17, extra: run - 3, extraBits: 3 });
    } else {
      items.push({ symbol: 18, extra: run - 11, extraBits: 7 });
    }
    previous = length;
  }
  return items;
}
