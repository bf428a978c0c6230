import { embeddedModule } from '../../compression/embedded.ts';
import { CODE } from './sketchcode.ts';

/**
 * A small record of a file's content. It tells how much of the content another file has, and how well it compresses.
 *
 * **Samples** are hashes of 32-byte windows. A window is sampled if the top 10 bits of its gear hash are clear (Xia et al.,
 * "Ddelta", 2014; sampled as in Odess, Zou et al., ICDE 2021), so the choice depends on the window's bytes alone. Files
 * that share bytes share the samples in those bytes, at any offset. The share of common samples estimates the share of
 * common windows (FracMinHash). A sketch keeps at most 1024 samples: those whose hash is divisible by 2 to the power of
 * the sketch's **level**.
 *
 * **Density** estimates compressed size over size. It looks at one block of 4 KiB in each 32 KiB. Literals cost their
 * entropy of order 0, and repeats of four bytes and more within the block cost a fixed number of bits.
 *
 * The loops over bytes are in wasm/sketch.rs.
 */
export interface ContentSketch {
  /** Estimated compressed bytes per byte, 0 to 1. */
  readonly density: number;
  /** Each sample is divisible by 2 to the power of the level. */
  readonly level: number;
  /** In ascending order. */
  readonly samples: Uint32Array;
}

export interface ContentSketcher {
  /** Takes the next bytes. The chunk may be reused by the caller afterwards. */
  update(chunk: Uint8Array): void;
  /** The sketch of the bytes since the last call; resets the sketcher. */
  finish(): ContentSketch;
}

/** Bytes of a sampled window. A 32-bit gear hash depends on the last 32 bytes. */
export const SAMPLE_WINDOW = 32;
export const MAX_SAMPLES = 1024;
/** A sample has 32 bits. */
export const MAX_LEVEL = 31;

const BLOCK = 64 * 1024;
const DENSITY_BLOCK = 4096;
const DENSITY_STRIDE = 32 * 1024;

interface SketchFunctions {
  readonly bytes: () => number;
  readonly samples: () => number;
  readonly counts: () => number;
  readonly sample: (from: number, end: number) => number;
  readonly repeats: (start: number, end: number) => number;
}

const instantiate = embeddedModule<SketchFunctions>(CODE);

export function createContentSketcher(): ContentSketcher {
  const functions = instantiate();
  const { buffer } = functions.memory;
  // starts with the last window of the previous block, for samples that begin in it
  const block = new Uint8Array(buffer, functions.bytes(), SAMPLE_WINDOW + BLOCK);
  const found = new Uint32Array(buffer, functions.samples(), BLOCK);
  const counts = new Uint32Array(buffer, functions.counts(), 256);
  const samples = new Set<number>();
  let filled = SAMPLE_WINDOW;
  let length = 0;
  let level = 0;
  let seen = 0;
  let compressed = 0;

  function flush(): void {
    const isFirst = length === filled - SAMPLE_WINDOW;
    const count = functions.sample(isFirst ? SAMPLE_WINDOW : 1, filled);
    for (let i = 0; i < count; i++) {
      const hash = found[i]!;
      if (hash % 2 ** level === 0) samples.add(hash);
      if (samples.size > 2 * MAX_SAMPLES) coarsen();
    }
    for (let at = SAMPLE_WINDOW; at < filled; at += DENSITY_STRIDE) {
      const end = Math.min(at + DENSITY_BLOCK, filled);
      compressed += compressedSize(at, end);
      seen += end - at;
    }
    block.copyWithin(0, filled - SAMPLE_WINDOW, filled);
    filled = SAMPLE_WINDOW;
  }

  /** Estimated size of block[start, end) under deflate, in bytes. */
  function compressedSize(start: number, end: number): number {
    let bits = functions.repeats(start, end);
    let literals = 0;
    for (let byte = 0; byte < 256; byte++) literals += counts[byte]!;
    for (let byte = 0; byte < 256; byte++) {
      const count = counts[byte]!;
      if (count > 0) bits += count * Math.log2(literals / count);
    }
    return Math.min(bits / 8, end - start);
  }

  function coarsen(): void {
    level++;
    for (const hash of samples) if (hash % 2 ** level !== 0) samples.delete(hash);
  }

  return {
    update(chunk) {
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + block.length - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
        length += part.length;
        if (filled === block.length) flush();
      }
    },
    finish() {
      if (filled > SAMPLE_WINDOW) flush();
      while (samples.size > MAX_SAMPLES) coarsen();
      const sketch: ContentSketch = {
        density: seen === 0 ? 0 : Math.min(1, Math.round((compressed / seen) * 1000) / 1000),
        level,
        samples: Uint32Array.from(samples).sort(),
      };
      samples.clear();
      length = level = seen = compressed = 0;
      return sketch;
    },
  };
}
