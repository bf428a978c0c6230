import type { Effort } from './alignment.ts';
import type { AlignmentBuilder } from './alignmentlist.ts';
import { alignModule } from './module.ts';

interface Settings {
  /** Places compared for one seed to either side of the current distance. */
  readonly maxPlaces: number;
  /** Entries of an index at most: 4 bytes each, and 4 bytes for each slot. */
  readonly maxEntries: number;
  /** How far apart seeds are at most that are looked up where nothing is found. */
  readonly maxSkip: number;
  /** The skip grows by one for each 2 ** skipBits bytes without a find. */
  readonly skipBits: number;
}

const SETTINGS: Readonly<Record<Effort, Settings>> = {
  fast: { maxPlaces: 2, maxEntries: 2 ** 21, maxSkip: 16, skipBits: 6 },
  default: { maxPlaces: 2, maxEntries: 2 ** 22, maxSkip: 8, skipBits: 7 },
  best: { maxPlaces: 32, maxEntries: 2 ** 23, maxSkip: 8, skipBits: 7 },
};

/** Words of an alignment in the module's memory. */
const FIELDS = 3;

/** Aligns one pair of buffers after the other. */
export interface Aligner {
  /** Memory to fill with the source; valid until the next alignment. */
  source(size: number): Uint8Array;
  /** Likewise for the target. */
  target(size: number): Uint8Array;
  /** Aligns the buffers. Adds the alignments to `out`, with the offsets of both buffers. */
  align(effort: Effort, out: AlignmentBuilder, sourceStart?: number, targetStart?: number): void;
}

/**
 * Aligns buffers byte by byte in WebAssembly. The target is scanned for seeds of the source; tables of records are put in phase.
 * The thread has one aligner: the next one takes over its memory.
 *
 * @param largest size of a buffer, in bytes
 */
export function createAligner(largest: number): Aligner {
  const functions = alignModule();
  functions.reserve(largest);
  let sourceSize = 0;
  let targetSize = 0;
  return {
    source(size) {
      sourceSize = size;
      return new Uint8Array(functions.memory.buffer, functions.source(), size);
    },
    target(size) {
      targetSize = size;
      return new Uint8Array(functions.memory.buffer, functions.target(), size);
    },
    align(effort, out, sourceStart = 0, targetStart = 0) {
      const { maxPlaces, maxEntries, maxSkip, skipBits } = SETTINGS[effort];
      const count = functions.align(sourceSize, targetSize, maxPlaces, maxEntries, maxSkip, skipBits);
      const found = new Int32Array(functions.memory.buffer, functions.found(), FIELDS * count);
      for (let i = 0; i < found.length; i += FIELDS)
        out.push(found[i]! + targetStart, found[i + 1]! + sourceStart, found[i + 2]!, 0);
    },
  };
}
