import { readSync } from 'node:fs';

/**
 * Samples of content: where four bytes have a certain hash, about every 512 bytes, the twelve bytes there stand for what
 * is around them. Equal stretches are sampled alike wherever they stand.
 */
const SHIFT = 23;
const SAMPLED = 12;
const SLOT_BITS = 22;
const CHUNK = 1024 ** 2;

/** About how far one sample is from the next, in bytes. */
export const SPACING = 2 ** (32 - SHIFT);

/** Where of a source a sample was seen first. */
export interface Samples {
  /** 1 + the offset in the layer stream, by slot; 0 where there is none. */
  readonly places: Float64Array;
  /** The sample itself, to tell apart what shares a slot. */
  readonly values: Int32Array;
}

/** Part of a file, in bytes. */
export type Range = readonly [start: number, end: number];

/** Takes 48 MiB, whatever is sampled: of what shares a slot the first is kept. */
export function sampleRanges(fd: number, ranges: Iterable<Range>): Samples {
  // in one piece, which goes back to the system whole
  const memory = new ArrayBuffer(12 << SLOT_BITS);
  const places = new Float64Array(memory, 0, 1 << SLOT_BITS);
  const values = new Int32Array(memory, 8 << SLOT_BITS, 1 << SLOT_BITS);
  for (const range of ranges) {
    forEachSample(fd, range, (sample, offset) => {
      const slot = sample >>> (32 - SLOT_BITS);
      if (places[slot] !== 0) return;
      places[slot] = offset + 1;
      values[slot] = sample;
    });
  }
  return { places, values };
}

/** Where in the source the sample was seen, or -1. */
export function placeOf({ places, values }: Samples, sample: number): number {
  const slot = sample >>> (32 - SLOT_BITS);
  return values[slot] === sample ? places[slot]! - 1 : -1;
}

const chunk = new Uint8Array(CHUNK);
const view = new DataView(chunk.buffer);

/** The samples of a range in their order, but for those of what repeats itself. */
export function forEachSample(
  fd: number,
  [start, end]: Range,
  visit: (sample: number, offset: number) => void,
): void {
  let before = 0;
  for (let at = start; at < end;) {
    const size = readSync(fd, chunk, 0, Math.min(CHUNK, end - at), at);
    for (let i = 0; i + SAMPLED <= size; i++) {
      const first = Math.imul(view.getInt32(i, true), 0x9e3779b1);
      if (first >>> SHIFT !== 0 || first === 0) continue;
      let sample = Math.imul(view.getInt32(i + 4, true) ^ (first << 9), 0x85ebca6b);
      sample = Math.imul(sample ^ (sample >>> 15) ^ view.getInt32(i + 8, true), 0x2c1b3c6d);
      if (sample === before) continue;
      before = sample;
      visit(sample, at + i);
    }
    if (size < SAMPLED) return;
    at += at + size < end ? size - SAMPLED + 1 : size;
  }
}
