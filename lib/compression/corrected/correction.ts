import { FIXED_LITERALS, FIXED_OFFSETS, type BitWriter } from '../bits.ts';
import { createGzipTrailer, gzipHeaderSize } from '../gzip.ts';
import { END_OF_BLOCK, MAX_STORED, RUN_EXTRA_BITS, RUN_ORDER } from '../symbols.ts';
import type { Choices } from './choices.ts';
import { createCodesModel } from './codes.ts';
import { canonicalCodes, MAX_TOKENS, NotDeflate, type BlockCodes, type BlockReader } from './inflate.ts';
import { createPredictor, LOOKAHEAD, type Predictor, type Search } from './predictor.ts';
import { createTokenModel } from './tokens.ts';

/**
 * A gzip stream of any number of members as the choices of its encoder: block ends, tokens and codes. Each choice is
 * predicted by another encoder on the same text. Most choices are as predicted, and take a small fraction of a bit.
 */
export interface Correction {
  /** The text, and the matches found in it. */
  readonly predictor: Predictor;
  /**
   * Runs through all choices. Yields the input of which it needs more: the text or the compressed stream. It never
   * requests an input that is over.
   *
   * @throws NotDeflate for a stream that has no correction, or invalid choices
   */
  readonly steps: Generator<'text' | 'stream', void, void>;
  /** The caller sets these at the end of an input. */
  readonly isOver: { text: boolean; stream: boolean };
}

/** The stream to encode, or the output to decode to. */
export type Stream = { readonly from: BlockReader } | { readonly to: BitWriter };

const MAX_HEADER = 0xffff;
const MAX_EMPTY_BLOCKS = 16;
/** Contexts of choices that occur once a block; below 16. */
const HAS_MORE = 0;
const IS_SAME_HEADER = 1;
const IS_LAST = 2;
const IS_CODED = 3;
const HAS_CODES = 4;
const IS_SAME_COUNT = 5;
const COUNT_BITS = 21;

export function createCorrection(search: Search, choices: Choices, stream: Stream): Correction {
  const isOver = { text: false, stream: false };
  const from = 'from' in stream ? stream.from : undefined;
  const to = 'to' in stream ? stream.to : undefined;
  let trailer = createGzipTrailer();
  const predictor = createPredictor(search, (piece) => {
    trailer.update(piece);
  });
  const nextToken = createTokenModel(choices, predictor);
  const nextCodes = createCodesModel(choices);
  /** The tokens of the current block when decoding. */
  const made = new Int32Array(to ? MAX_TOKENS : 0);
  let lastCount = 0;
  let emptyBlocks = 0;

  const isAtEnd = () => from === undefined || from.rest().length === 0;
  const mayCome = () => from !== undefined && !isOver.stream;
  const hasText = () => isOver.text || predictor.ahead() >= LOOKAHEAD;

  function* needed<Found>(read: () => Found | undefined): Generator<'stream', Found, void> {
    for (;;) {
      const found = read();
      if (found !== undefined) return found;
      if (isOver.stream) throw new NotDeflate('it ends too soon');
      yield 'stream';
    }
  }

  function bytes(values: Uint8Array): Uint8Array {
    return values.map((value) => choices.direct(8, value));
  }

  function* header(last: Uint8Array | undefined): Generator<'stream', Uint8Array, void> {
    const actual = from && (yield* needed(() => readHeader(from)));
    if (last && choices.bit(IS_SAME_HEADER, actual && Buffer.compare(actual, last) === 0 ? 1 : 0))
      return last;
    const size = choices.direct(16, actual?.length ?? 0);
    return bytes(actual ?? new Uint8Array(size));
  }

  function* stored(size: number): Generator<'text', void, void> {
    for (let left = size; left > 0;) {
      while (!hasText()) yield 'text';
      const part = Math.min(left, predictor.ahead());
      if (part === 0) throw new NotDeflate('more text than there is');
      to?.bytes(predictor.peek(part));
      predictor.pass(part, size);
      emptyBlocks = 0;
      left -= part;
    }
  }

  /** Codes tokens from `at` on, until all are coded or more text is needed. */
  function run(tokens: Int32Array, at: number, count: number): number {
    let i = at;
    for (; i < count && hasText(); i++) {
      const token = nextToken(tokens[i]!);
      if (token === undefined) throw new NotDeflate('a match that is none');
      tokens[i] = token;
    }
    if (i > at) emptyBlocks = 0;
    return i;
  }

  function* coded(count: number, actual: { tokens: Int32Array; codes?: BlockCodes } | undefined) {
    const hasCodes = choices.bit(HAS_CODES, actual?.codes ? 1 : 0) === 1;
    const tokens = actual?.tokens ?? made;
    for (let at = 0; (at = run(tokens, at, count)) < count;) yield 'text' as const;
    const codes = hasCodes ? nextCodes(tokens, count, actual?.codes) : undefined;
    if (hasCodes && !codes) throw new NotDeflate('codes that are none');
    if (to) writeTokens(to, tokens, count, codes);
  }

  /** @returns whether it was the last block of its member */
  function* block(): Generator<'text' | 'stream', boolean, void> {
    const actual = from && (yield* needed(() => from.block()));
    // pigz writes empty blocks to align to a byte
    if (++emptyBlocks > MAX_EMPTY_BLOCKS) throw new NotDeflate('too many empty blocks');
    const isLast = choices.bit(IS_LAST, actual?.isLast ? 1 : 0) === 1;
    const isCoded = choices.bit(IS_CODED, actual?.kind === 'coded' ? 1 : 0) === 1;
    to?.bits(isLast ? 1 : 0, 1);
    if (!isCoded) {
      const size = choices.direct(16, actual?.kind === 'stored' ? actual.size : 0);
      to?.bits(0, 2);
      to?.align();
      to?.bits(size, 16);
      to?.bits(~size & MAX_STORED, 16);
      yield* stored(size);
      return isLast;
    }
    const found = actual?.kind === 'coded' ? actual : undefined;
    const isSame = choices.bit(IS_SAME_COUNT, found?.count === lastCount ? 1 : 0) === 1;
    if (!isSame) lastCount = choices.direct(COUNT_BITS, found?.count ?? 0);
    if (lastCount > MAX_TOKENS) throw new NotDeflate('a block of too many tokens');
    yield* coded(lastCount, found);
    return isLast;
  }

  function* member(last: Uint8Array | undefined): Generator<'text' | 'stream', Uint8Array, void> {
    const head = yield* header(last);
    to?.bytes(head);
    trailer = createGzipTrailer();
    predictor.forget();
    while (!(yield* block()));
    predictor.flush();
    const end = trailer.bytes();
    if (from && Buffer.compare(yield* needed(() => from.bytes(end.length)), end) !== 0) {
      throw new NotDeflate('of another text');
    }
    to?.align();
    to?.bytes(end);
    return head;
  }

  function* steps(): Generator<'text' | 'stream', void, void> {
    let last = yield* member(undefined);
    for (;;) {
      while (isAtEnd() && mayCome()) yield 'stream';
      if (!choices.bit(HAS_MORE, isAtEnd() ? 0 : 1)) break;
      last = yield* member(last);
    }
    while (!isOver.text && predictor.ahead() === 0) yield 'text';
    if (predictor.ahead() > 0) throw new NotDeflate('more text than it stands for');
  }

  return { predictor, isOver, steps: steps() };
}

function readHeader(from: BlockReader): Uint8Array | undefined {
  const size = gzipHeaderSize(from.rest());
  if (size === undefined && from.rest().length > MAX_HEADER) throw new NotDeflate('no header of gzip');
  return size === undefined ? undefined : from.bytes(size);
}

function writeTokens(to: BitWriter, tokens: Int32Array, count: number, codes: BlockCodes | undefined): void {
  to.bits(codes ? 2 : 1, 2);
  let literals: Int32Array = FIXED_LITERALS;
  let offsets: Int32Array = FIXED_OFFSETS;
  if (codes) {
    const { lengths, literalCount, runLengths, runCount, items } = codes;
    to.bits(literalCount - 257, 5);
    to.bits(lengths.length - literalCount - 1, 5);
    to.bits(runCount - 4, 4);
    for (let i = 0; i < runCount; i++) to.bits(runLengths[RUN_ORDER[i]!]!, 3);
    const runs = canonicalCodes(runLengths);
    for (const { symbol, extra } of items) {
      to.code(runs[symbol]!);
      if (symbol >= 16) to.bits(extra, RUN_EXTRA_BITS[symbol - 16]!);
    }
    literals = canonicalCodes(lengths.subarray(0, literalCount));
    offsets = canonicalCodes(lengths.subarray(literalCount));
  }
  to.tokens(tokens, count, literals, offsets);
  to.code(literals[END_OF_BLOCK]!);
}
