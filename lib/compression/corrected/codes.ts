import { countCodes } from '../tokencoder.ts';
import {
  END_OF_BLOCK,
  LITERAL_COUNT,
  OFFSET_COUNT,
  RUN_COUNT,
  RUN_EXTRA_BITS,
  RUN_LEAST,
  RUN_ORDER,
} from '../symbols.ts';
import { buildTree, type ZlibTree } from '../zlib/tree.ts';
import type { Choices } from './choices.ts';
import type { BlockCodes, RunItem } from './inflate.ts';

/**
 * Creates a model that codes the Huffman codes of a block as choices. It predicts the codes that zlib would make for
 * the block's tokens.
 *
 * @returns a function that encodes or decodes the codes for tokens; its result is undefined for invalid codes
 */
export function createCodesModel(
  choices: Choices,
): (tokens: Int32Array, count: number, actual: BlockCodes | undefined) => BlockCodes | undefined {
  const literalFrequencies = new Int32Array(LITERAL_COUNT);
  const offsetFrequencies = new Int32Array(OFFSET_COUNT);
  const runFrequencies = new Int32Array(RUN_COUNT);
  const literals = createTree(LITERAL_COUNT);
  const offsets = createTree(OFFSET_COUNT);
  const runs = createTree(RUN_COUNT);

  function count(context: number, expected: number, bits: number, actual = 0): number {
    return choices.bit(context, actual === expected ? 1 : 0) ? expected : choices.direct(bits, actual);
  }

  /** @param ends the ends of the literals' lengths and of all lengths; runs of some encoders cross the first */
  function item(
    expected: Uint8Array,
    at: number,
    ends: readonly [number, number],
    before: number,
    actual?: RunItem,
  ) {
    let guess = guessItem(expected, at, ends[1], before);
    const within = guessItem(expected, at, at < ends[0] ? ends[0] : ends[1], before);
    if (!isSame(guess, within) && choices.bit(IS_WITHIN, isSame(actual, within) ? 1 : 0)) guess = within;
    if (choices.bit(IS_GUESS + guess.symbol, isSame(actual, guess) ? 1 : 0)) return guess;
    const symbol = choices.tree(SYMBOL + guess.symbol * 32, 5, actual?.symbol ?? 0);
    const kind = symbol - 16;
    const extra = kind < 0 ? 0 : choices.direct(RUN_EXTRA_BITS[kind] ?? 0, actual?.extra ?? 0);
    return { symbol, extra };
  }

  return (tokens, tokenCount, actual) => {
    countCodes(tokens, tokenCount, literalFrequencies, offsetFrequencies);
    literalFrequencies[END_OF_BLOCK] = 1;
    buildTree(literalFrequencies, 15, literals);
    buildTree(offsetFrequencies, 15, offsets);
    const literalCount = count(COUNTS, literals.maxCode + 1, 9, actual?.literalCount);
    const offsetCount = count(
      COUNTS + 1,
      offsets.maxCode + 1,
      5,
      actual && actual.lengths.length - literalCount,
    );
    if (literalCount <= END_OF_BLOCK || literalCount > LITERAL_COUNT) return undefined;
    if (offsetCount === 0 || offsetCount > OFFSET_COUNT) return undefined;
    const total = literalCount + offsetCount;
    const expected = new Uint8Array(total);
    for (let i = 0; i < literalCount; i++) expected[i] = literals.codes[i]! >>> 16;
    for (let i = 0; i < offsetCount; i++) expected[literalCount + i] = (offsets.codes[i] ?? 0) >>> 16;

    const lengths = new Uint8Array(total);
    const items: RunItem[] = [];
    runFrequencies.fill(0);
    for (let at = 0; at < total;) {
      const before = at > 0 ? lengths[at - 1]! : -1;
      const { symbol, extra } = item(
        expected,
        at,
        [literalCount, total],
        before,
        actual?.items[items.length],
      );
      const run = symbol < 16 ? 1 : RUN_LEAST[symbol - 16]! + extra;
      // also false if a value is not a number
      if (!(at + run <= total) || (symbol === 16 && at === 0)) return undefined;
      items.push({ symbol, extra });
      runFrequencies[symbol]!++;
      lengths.fill(symbol < 16 ? symbol : symbol === 16 ? before : 0, at, at + run);
      at += run;
    }

    buildTree(runFrequencies, 7, runs);
    const runLengths = new Uint8Array(RUN_COUNT);
    for (let i = 0; i < RUN_COUNT; i++) {
      const guess = runs.codes[i]! >>> 16;
      const value = actual?.runLengths[i] ?? 0;
      const isGuess = choices.bit(IS_RUN_LENGTH + guess, guess === value ? 1 : 0);
      runLengths[i] = isGuess ? guess : choices.tree(RUN_LENGTH + guess * 8, 3, value);
    }
    let least = RUN_COUNT;
    while (least > 4 && runLengths[RUN_ORDER[least - 1]!] === 0) least--;
    const runCount = count(COUNTS + 2, least, 5, actual?.runCount);
    if (runCount < least || runCount > RUN_COUNT) return undefined;
    return { lengths, literalCount, runLengths, runCount, items };
  };
}

function createTree(size: number): ZlibTree {
  return { codes: new Int32Array(size), maxCode: 0 };
}

function isSame(a: RunItem | undefined, b: RunItem): boolean {
  return a?.symbol === b.symbol && a.extra === b.extra;
}

/** Predicts the next item: the longest run of the expected lengths, in its shortest form. */
function guessItem(lengths: Uint8Array, at: number, end: number, before: number): RunItem {
  const length = lengths[at]!;
  let run = 1;
  while (run < 138 && at + run < end && lengths[at + run] === length) run++;
  if (length === 0 && run >= 11) return { symbol: 18, extra: run - 11 };
  if (length === 0 && run >= 3) return { symbol: 17, extra: run - 3 };
  if (length === before && run >= 3) return { symbol: 16, extra: Math.min(run, 6) - 3 };
  return { symbol: length, extra: 0 };
}

/** Contexts, after those of `correction.ts`. */
const COUNTS = 16;
const IS_WITHIN = COUNTS + 3;
const IS_GUESS = IS_WITHIN + 1;
const IS_RUN_LENGTH = IS_GUESS + RUN_COUNT;
const RUN_LENGTH = IS_RUN_LENGTH + 8;
const SYMBOL = RUN_LENGTH + 64;
