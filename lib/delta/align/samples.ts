import { free } from '../../runtime/memory.ts';
import { createOpenFiles, type FileParts, type Space } from '../../runtime/space.ts';
import { isUsable } from './counterpart.ts';
import type { Listing } from './listing.ts';
import { alignModule } from './module.ts';

/**
 * Samples of content: where four bytes have a certain hash, about every 512 bytes, the twelve bytes there represent
 * their surroundings. Equal stretches have equal samples, wherever they are.
 */
const SHIFT = 23;
const SAMPLED = 12;
const SLOT_BITS = 22;
const CHUNK = 128 * 1024;
const MULTIPLIER = 0x9e3779b1;
/** Precision of stored places, in bytes: finer than a tar header, and enough for 64 GiB in 32 bits. */
const UNIT = 16;

/** Mean distance between samples, in bytes. */
export const SPACING = 2 ** (32 - SHIFT);

/** The first place of each sample in a source. */
export interface Samples {
  /** 1 + the offset in the layer stream in units of UNIT, by slot; 0 where there is none. */
  readonly places: Uint32Array<ArrayBuffer>;
  /** The sample itself, to tell apart samples that share a slot. */
  readonly values: Int32Array<ArrayBuffer>;
}

/** Part of a file, in bytes. */
export type Range = readonly [start: number, end: number];

/** Shorter bodies have hardly any sample. */
const MIN_SAMPLED = 2 * SPACING;

/**
 * Samples the bodies of a layer stream. Takes 32 MiB for any size: a slot keeps its first sample.
 *
 * @param listing of the stream's pieces
 * @param usable as in `AlignOptions`
 */
export function sampleStream(stream: FileParts, listing: Listing, usable: Float64Array | undefined): Samples {
  const places = new Uint32Array(1 << SLOT_BITS);
  const values = new Int32Array(1 << SLOT_BITS);
  using files = createOpenFiles();
  const space = files.space(stream);
  const { start, body, count } = listing;
  for (let i = 0; i < count; i++) {
    if (start[i + 1]! - body[i]! < MIN_SAMPLED || !isUsable(usable, body[i]!)) continue;
    forEachSample(space, [body[i]!, start[i + 1]!], (sample, offset) => {
      const slot = sample >>> (32 - SLOT_BITS);
      if (places[slot] !== 0) return;
      places[slot] = 1 + Math.floor(offset / UNIT);
      values[slot] = sample;
    });
  }
  return { places, values };
}

/** Frees the memory without waiting for the garbage collector. */
export function freeSamples({ places, values }: Samples): void {
  free(places);
  free(values);
}

/** The approximate place of a sample in the source, always within its piece; -1 for an unknown sample. */
export function placeOf({ places, values }: Samples, sample: number): number {
  const slot = sample >>> (32 - SLOT_BITS);
  return values[slot] === sample ? (places[slot]! - 1) * UNIT : -1;
}

/** Calls back with the samples of a range in order; samples of repetitive content are left out. */
export function forEachSample(
  space: Space,
  [start, end]: Range,
  visit: (sample: number, offset: number) => void,
): void {
  const { memory, text, places: placesAt, find_places: findPlaces } = alignModule();
  const chunk = new Uint8Array(memory.buffer, text(), CHUNK);
  const view = new DataView(memory.buffer, text(), CHUNK);
  const places = new Uint32Array(memory.buffer, placesAt(), CHUNK);
  let before = 0;
  for (let at = start; at < end;) {
    const size = Math.min(CHUNK, end - at);
    space.read(chunk.subarray(0, size), at);
    const count = findPlaces(size);
    for (let i = 0; i < count; i++) {
      const sample = sampleAt(view, places[i]!);
      if (sample === before) continue;
      before = sample;
      visit(sample, at + places[i]!);
    }
    if (size < SAMPLED) return;
    at += at + size < end ? size - SAMPLED + 1 : size;
  }
}

function sampleAt(view: DataView, i: number): number {
  const first = Math.imul(view.getInt32(i, true), MULTIPLIER);
  const sample = Math.imul(view.getInt32(i + 4, true) ^ (first << 9), 0x85ebca6b);
  return Math.imul(sample ^ (sample >>> 15) ^ view.getInt32(i + 8, true), 0x2c1b3c6d);
}
