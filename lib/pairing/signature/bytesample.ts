import { createTlsh } from './tlsh.ts';

/**
 * A bounded sample of the bytes of files, for TLSH: hashing every byte would take as long as all other work of a signature.
 * Of the contents with the smallest keys the middle bytes are kept. Images that share contents share them in the sample, and
 * the sample of a small image has all of its bytes.
 */

/** Bytes of a sample, at most. */
const MOST_BYTES = 1024 ** 2;
/** Bytes of each content, at most. */
const MIDDLE = 16 * 1024;

/** The middle of each sampled content, by the content's key (`digestKey`). */
export type ByteSample = ReadonlyMap<number, Uint8Array>;

/** Collects the middle of one content after the other. */
export interface MiddleBytes {
  /** @param size of the next content, in bytes */
  begin(size: number): void;
  push(bytes: Uint8Array): void;
  /** Passes over a hole. */
  skip(size: number): void;
  /** The bytes that were pushed of the middle; valid until the next content begins. */
  finish(): Uint8Array;
}

export function createMiddle(): MiddleBytes {
  const middle = new Uint8Array(MIDDLE);
  let start = 0;
  let at = 0;
  let filled = 0;
  return {
    begin(size) {
      start = Math.max(0, Math.floor((size - MIDDLE) / 2));
      at = filled = 0;
    },
    push(bytes) {
      if (at < start + MIDDLE && at + bytes.length > start) {
        const part = bytes.subarray(Math.max(0, start - at), start + MIDDLE - at);
        middle.set(part, filled);
        filled += part.length;
      }
      at += bytes.length;
    },
    skip: (hole) => (at += hole),
    finish: () => middle.subarray(0, filled),
  };
}

export interface ByteSampler {
  /** @param middle is copied if it is kept */
  add(key: number, middle: Uint8Array): void;
  finish(): ByteSample;
}

export function createByteSampler(): ByteSampler {
  let sample = new Map<number, Uint8Array>();
  let size = 0;
  let most = Infinity;
  return {
    add(key, middle) {
      if (key > most || sample.has(key)) return;
      sample.set(key, middle.slice());
      size += middle.length;
      if (size < 2 * MOST_BYTES) return;
      sample = smallest(sample);
      size = sizeOf(sample);
      most = Math.max(...sample.keys());
    },
    finish: () => smallest(sample),
  };
}

function sizeOf(sample: ByteSample): number {
  return sample.values().reduce((sum, { length }) => sum + length, 0);
}

/** The contents with the smallest keys, as many as fit. */
function smallest(sample: ByteSample): Map<number, Uint8Array> {
  let size = 0;
  const sorted = [...sample].sort(([a], [b]) => a - b);
  return new Map(sorted.filter(([, { length }]) => (size += length) <= MOST_BYTES));
}

/** The sample of several layers together. */
export function joinSamples(samples: readonly ByteSample[]): ByteSample {
  return smallest(new Map(samples.flatMap((sample) => [...sample])));
}

/** The TLSH of those of the contents that are in the sample, in their order; null if they are too small or too uniform. */
export function tlshOf(sample: ByteSample, keys: Iterable<number>): string | null {
  const tlsh = createTlsh();
  for (const key of keys) {
    const middle = sample.get(key);
    if (middle) tlsh.update(middle);
  }
  return tlsh.digest();
}
