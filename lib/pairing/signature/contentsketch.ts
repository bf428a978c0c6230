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
const SAMPLED_BITS = 10;
export const MAX_SAMPLES = 1024;
/** A sample has 32 bits. */
export const MAX_LEVEL = 31;

const BLOCK = 64 * 1024;
const DENSITY_BLOCK = 4096;
const DENSITY_STRIDE = 32 * 1024;
/** Bits of a repeat: distance and length as deflate writes them. */
const REPEAT_BITS = 19;

/** A random word per byte value (splitmix32). */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) => mixed(Math.imul(byte + 1, 0x9e3779b9)));

const places = new Int32Array(BLOCK);

/**
 * Writes the end positions of sampled windows into `places`. The first window of the block only primes the hash.
 *
 * @returns the number of positions
 */
function findSamples(block: Uint8Array, end: number): number {
  let hash = 0;
  let count = 0;
  for (let i = 0; i < SAMPLE_WINDOW; i++) hash = ((hash << 1) + GEAR[block[i]!]!) | 0;
  for (let i = SAMPLE_WINDOW; i < end; i++) {
    hash = ((hash << 1) + GEAR[block[i]!]!) | 0;
    if (hash >>> (32 - SAMPLED_BITS) === 0) places[count++] = i;
  }
  return count;
}

function hashWindow(block: Uint8Array, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = end - SAMPLE_WINDOW; i < end; i++) hash = Math.imul(hash ^ block[i]!, 0x01000193);
  return mixed(hash) >>> 0;
}

function mixed(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

export function createContentSketcher(): ContentSketcher {
  // starts with the last window of the previous block, for samples that begin in it
  const block = new Uint8Array(SAMPLE_WINDOW + BLOCK);
  const samples = new Set<number>();
  let filled = SAMPLE_WINDOW;
  let length = 0;
  let level = 0;
  let seen = 0;
  let compressed = 0;

  function flush(): void {
    const found = findSamples(block, filled);
    for (let k = 0; k < found; k++) {
      const end = places[k]! + 1;
      if (length - filled + end < SAMPLE_WINDOW) continue;
      const hash = hashWindow(block, end);
      if (hash % 2 ** level === 0) samples.add(hash);
      if (samples.size > 2 * MAX_SAMPLES) coarsen();
    }
    for (let at = SAMPLE_WINDOW; at < filled; at += DENSITY_STRIDE) {
      const end = Math.min(at + DENSITY_BLOCK, filled);
      compressed += compressedSize(block, at, end);
      seen += end - at;
    }
    block.copyWithin(0, filled - SAMPLE_WINDOW, filled);
    filled = SAMPLE_WINDOW;
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

const counts = new Uint32Array(256);
/** Position of the latest occurrence of four bytes, plus `epoch`. Positions below `epoch` belong to earlier blocks. */
const positions = new Int32Array(4096);
let epoch = 0;

/** Estimated size of block[start, end) under deflate, in bytes. */
function compressedSize(block: Uint8Array, start: number, end: number): number {
  epoch += DENSITY_BLOCK;
  if (epoch > 2 ** 30) {
    positions.fill(0);
    epoch = DENSITY_BLOCK;
  }
  counts.fill(0);
  let literals = 0;
  let bits = 0;
  for (let i = start; i < end;) {
    if (i + 4 <= end) {
      const word = block[i]! | (block[i + 1]! << 8) | (block[i + 2]! << 16) | (block[i + 3]! << 24);
      const slot = Math.imul(word, 0x9e3779b1) >>> 20;
      const at = positions[slot]! - epoch + start;
      positions[slot] = epoch + i - start;
      if (at >= start && at < i) {
        let run = 0;
        while (i + run < end && block[at + run] === block[i + run]) run++;
        if (run >= 4) {
          bits += REPEAT_BITS;
          i += run;
          continue;
        }
      }
    }
    counts[block[i]!]!++;
    literals++;
    i++;
  }
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte]!;
    if (count > 0) bits += count * Math.log2(literals / count);
  }
  return Math.min(bits / 8, end - start);
}
