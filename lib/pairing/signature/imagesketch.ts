import { sampleStart } from './contents.ts';
import { DIGEST_SIZE } from './digestset.ts';
import type { Signature } from './signature.ts';

/**
 * The record of an image in the similarity index: 128 bins of 16 bits, 256 bytes for images of any size. The probability
 * that two images agree in a bin is the weighted Jaccard similarity of their contents: the bytes in common divided by
 * the bytes of their union.
 *
 * It is a weighted MinHash by one permutation (Li, Owen, Zhang, NIPS 2012) and an exponential race. The items are the
 * samples of large contents, which changed files partly share, and small contents as a whole. The weight of an item is
 * the number of bytes that it represents. Each item falls into one bin and draws an arrival time by its hash, earlier on
 * average for heavier items. A bin stores a hash of its earliest item. An empty bin borrows from the next filled one.
 */
export type ImageSketch = Buffer;

export const SKETCH_BINS = 128;
export const SKETCH_SIZE = 2 * SKETCH_BINS;

/** Bytes represented by one sample at level 0 (contentsketch.ts). */
const SAMPLE_WEIGHT = 1024;
const LEAST_SAMPLES = 4;

export function imageSketchOf({ contents }: Pick<Signature, 'contents'>): ImageSketch {
  const builder = createImageSketchBuilder();
  const { digests, sizes, levels, samples, sampleEnds } = contents;
  const words = new DataView(digests.buffer, digests.byteOffset);
  for (const [i, size] of sizes.entries()) {
    const start = sampleStart(contents, i);
    const end = sampleEnds[i]!;
    if (end - start < LEAST_SAMPLES) {
      if (size > 0) builder.add(words.getUint32(i * DIGEST_SIZE), size);
    } else {
      const weight = SAMPLE_WEIGHT * 2 ** levels[i]!;
      for (let k = start; k < end; k++) builder.add(samples[k]!, weight);
    }
  }
  return builder.finish();
}

/** Builds a sketch from items: 32-bit words, each of which has the same weight in all images. */
export function createImageSketchBuilder(): {
  add(item: number, weight: number): void;
  finish(): ImageSketch;
} {
  const first = new Float64Array(SKETCH_BINS).fill(Infinity);
  const winner = new Uint16Array(SKETCH_BINS);
  return {
    add(item, weight) {
      const where = mixed(item ^ 0x5bd1e995);
      const bin = where & (SKETCH_BINS - 1);
      const time = -Math.log((mixed(where ^ 0x27d4eb2f) + 0.5) / 2 ** 32) / weight;
      if (time >= first[bin]!) return;
      first[bin] = time;
      winner[bin] = mixed(where ^ 0x165667b1) & 0xffff;
    },
    finish() {
      const sketch = Buffer.alloc(SKETCH_SIZE);
      if (first.every((time) => time === Infinity)) return sketch;
      for (let bin = 0; bin < SKETCH_BINS; bin++) {
        let from = bin;
        for (let step = 1; first[from] === Infinity; step++) from = (bin + step) % SKETCH_BINS;
        // a borrowed value is offset by the distance, so that it does not equal the lender's own value
        sketch.writeUInt16BE((winner[from]! + (from - bin) * 0x9e37) & 0xffff, 2 * bin);
      }
      return sketch;
    },
  };
}

/** Estimated share of bytes that two images have in common, 0 to 1. */
export function sketchSimilarity(a: ImageSketch, b: ImageSketch): number {
  let equal = 0;
  for (let at = 0; at < SKETCH_SIZE; at += 2) if (a[at] === b[at] && a[at + 1] === b[at + 1]) equal++;
  return equal / SKETCH_BINS;
}

/** Number of trees in the forest, and the number of bins in a tree's key. */
export const TREES = 10;
export const TREE_DEPTH = 8;

/** The key of an image in each tree: one byte from each of 8 bins. Each tree uses other bins. */
export function treeKeys(sketch: ImageSketch): Buffer[] {
  return Array.from({ length: TREES }, (_, tree) =>
    Buffer.from(Array.from({ length: TREE_DEPTH }, (__, i) => sketch[2 * binOf(tree, i) + 1]!)),
  );
}

/** Takes bins that are far apart, since neighbouring bins may hold borrowed values. */
function binOf(tree: number, i: number): number {
  return ((tree * TREE_DEPTH + i) * 45) % SKETCH_BINS;
}

function mixed(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
