import { CODE } from './deflatecode.ts';
import { embeddedModule } from './embedded.ts';
import { WINDOW_SIZE } from './symbols.ts';

/** The functions of wasm/deflate.rs, which has the meaning of each, and its match finders. */

/** Tokens, and their text if it is still in memory. Both are valid until the finder goes on. */
export interface TokenBlock {
  readonly tokens: Int32Array;
  readonly count: number;
  readonly text: Uint8Array | undefined;
}

export interface Finder {
  readonly functions: DeflateFunctions;
  /** Text from an offset of the finder's text on. */
  textAt(offset: number): Uint8Array;
  bytesAt(address: number): Uint8Array;
  readonly tokens: Int32Array;
  /** The block that a finder has stopped for. */
  block(): TokenBlock;
  /**
   * Copies the start of a piece behind the text in the window.
   *
   * @param room where it is to be put
   * @returns the number of bytes that fit
   */
  fill(room: number, piece: Uint8Array): number;
}

interface DeflateFunctions {
  readonly frequencies: () => number;
  readonly codes: () => number;
  readonly held: () => number;
  readonly out: () => number;
  readonly count_codes: (count: number) => void;
  readonly generate_codes: (first: number, count: number, maxBits: number) => void;
  readonly pack: (count: number) => number;
  readonly block: () => number;
  readonly tokens: () => number;
  readonly text_at: (at: number) => number;
  readonly go_start: (lazy: number, nice: number, chain: number, skip: number) => void;
  readonly go_room: () => number;
  readonly go_add: (size: number) => void;
  readonly go_run: (isLast: number) => number;
  readonly zlib_start: (
    isGzip: number,
    level: number,
    good: number,
    lazy: number,
    nice: number,
    chain: number,
    dictionary: number,
  ) => void;
  readonly zlib_room: () => number;
  readonly zlib_add: (size: number) => void;
  readonly zlib_run: (minLookahead: number) => number;
  readonly zlib_end: () => void;
  readonly zlib_rest: () => number;
  readonly klauspost_input: () => number;
  readonly klauspost_start: (skipBeginning: number, isSplitWell: number) => void;
  readonly klauspost_forget: () => void;
  readonly klauspost_run: (size: number) => number;
}

export const MOST_TOKENS = 65536;

/** Makes an instance of wasm/deflate.rs. */
export const instantiate = embeddedModule<DeflateFunctions>(CODE);

/** @returns a finder with memory of its own, for one encoder */
export function createFinder(): Finder {
  const functions = instantiate();
  const { buffer } = functions.memory;
  const memory = new Uint8Array(buffer);
  const tokens = new Int32Array(buffer, functions.tokens(), MOST_TOKENS);
  const block = new Int32Array(buffer, functions.block(), 3);
  const start = functions.text_at(0);
  return {
    functions,
    tokens,
    textAt: (offset) => memory.subarray(start + offset),
    bytesAt: (address) => memory.subarray(address),
    block() {
      const [count, text, size] = block as unknown as [number, number, number];
      return { tokens, count, text: text === 0 ? undefined : memory.subarray(text, text + size) };
    },
    fill(room, piece) {
      const part = piece.subarray(0, 2 * WINDOW_SIZE - room);
      memory.set(part, start + room);
      return part.length;
    },
  };
}
