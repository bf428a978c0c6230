import { embeddedModule } from '../embedded.ts';
import { CODE } from './matchcode.ts';
import { MAX_SEQUENCES, type BlockContent } from './sequences.ts';

/**
 * Finds matches like klauspost/compress at its default level (zstd/enc_dfast.go): a table of the last position by eight
 * bytes, and one by five. The search is in wasm/zstd.rs.
 */
export interface ZstdMatcher {
  /** The block's literals and sequences; valid until the next call. */
  match(block: Uint8Array): BlockContent;
  /** Like `match`, for a frame's only block, which klauspost/compress searches in another way. */
  matchAlone(block: Uint8Array): BlockContent;
}

interface MatcherFunctions {
  readonly literals: () => number;
  readonly lit_lengths: () => number;
  readonly match_lengths: () => number;
  readonly offsets: () => number;
  readonly counts: () => number;
  readonly room: (size: number) => number;
  readonly search: (size: number, isAlone: number) => void;
}

const instantiate = embeddedModule<MatcherFunctions>(CODE);

export function createZstdMatcher(): ZstdMatcher {
  const functions = instantiate();
  const { buffer } = functions.memory;
  const memory = new Uint8Array(buffer);
  const literals = memory.subarray(functions.literals());
  const litLengths = new Int32Array(buffer, functions.lit_lengths(), MAX_SEQUENCES);
  const matchLengths = new Int32Array(buffer, functions.match_lengths(), MAX_SEQUENCES);
  const offsets = new Int32Array(buffer, functions.offsets(), MAX_SEQUENCES);
  const counts = new Int32Array(buffer, functions.counts(), 2);

  function search(block: Uint8Array, isAlone: boolean): BlockContent {
    memory.set(block, functions.room(block.length));
    functions.search(block.length, isAlone ? 1 : 0);
    return { literals, literalCount: counts[0]!, litLengths, matchLengths, offsets, count: counts[1]! };
  }

  return {
    match: (block) => search(block, false),
    matchAlone: (block) => search(block, true),
  };
}
