import { instantiate, MOST_TOKENS } from './finder.ts';
import { LITERAL_COUNT, OFFSET_COUNT } from './symbols.ts';

/** Codes blocks of tokens by functions of wasm/deflate.rs. They keep nothing from call to call, so a thread has one instance. */

interface TokenCoder {
  readonly tokens: Int32Array;
  /** Of literals and lengths, then from OFFSETS on of offsets. */
  readonly frequencies: Int32Array;
  readonly codes: Int32Array;
  /** Bits that do not fill a byte, and their number. */
  readonly held: Int32Array;
  readonly out: Uint8Array;
  readonly functions: ReturnType<typeof instantiate>;
}

/** Where offsets begin. */
const OFFSETS = 288;
const SYMBOLS = OFFSETS + 32;

let shared: TokenCoder | undefined;

function coder(): TokenCoder {
  if (shared) return shared;
  const functions = instantiate();
  const { buffer } = functions.memory;
  shared = {
    tokens: new Int32Array(buffer, functions.tokens(), MOST_TOKENS),
    frequencies: new Int32Array(buffer, functions.frequencies(), SYMBOLS),
    codes: new Int32Array(buffer, functions.codes(), SYMBOLS),
    held: new Int32Array(buffer, functions.held(), 2),
    out: new Uint8Array(buffer, functions.out()),
    functions,
  };
  return shared;
}

/** Counts the codes of literals, lengths and offsets. */
export function countCodes(
  tokens: Int32Array,
  count: number,
  literals: Int32Array,
  offsets: Int32Array,
): void {
  const { frequencies, functions } = coder();
  frequencies.fill(0);
  for (let at = 0; at < count; at += MOST_TOKENS) functions.count_codes(load(tokens, at, count));
  literals.set(frequencies.subarray(0, LITERAL_COUNT));
  offsets.set(frequencies.subarray(OFFSETS, OFFSETS + OFFSET_COUNT));
}

/**
 * Huffman codes like those of Go's compress/flate and klauspost/compress: an optimal length-limited code. Symbols of lower
 * frequency get longer codes; among equals, those of lower value.
 *
 * @param codes is filled with a code for each symbol that occurs, and 0 for others
 */
export function generateCodes(
  frequencies: Int32Array,
  count: number,
  maxBits: number,
  codes: Int32Array,
): void {
  const coded = coder();
  coded.frequencies.set(frequencies.subarray(0, count));
  coded.functions.generate_codes(0, count, maxBits);
  codes.set(coded.codes.subarray(0, count));
}

/**
 * Writes tokens in the given codes.
 *
 * @param held fewer than 16 bits before them, and their number; is set to those that do not fill a byte behind them
 * @param write takes whole bytes, which are valid until it returns
 */
export function packTokens(
  tokens: Int32Array,
  count: number,
  literals: Int32Array,
  offsets: Int32Array,
  held: { bits: number; count: number },
  write: (bytes: Uint8Array) => void,
): void {
  const { codes, functions, held: state, out } = coder();
  codes.set(literals);
  codes.set(offsets, OFFSETS);
  state[0] = held.bits;
  state[1] = held.count;
  for (let at = 0; at < count; at += MOST_TOKENS)
    write(out.subarray(0, functions.pack(load(tokens, at, count))));
  held.bits = state[0];
  held.count = state[1];
}

/** Copies tokens from `at` on, as many as fit. @returns their number */
function load(tokens: Int32Array, at: number, count: number): number {
  const part = tokens.subarray(at, Math.min(count, at + MOST_TOKENS));
  coder().tokens.set(part);
  return part.length;
}
