import { closeSync, openSync, readSync } from 'node:fs';
import { LITTLE_ENDIAN } from '../../endian.ts';
import { isUsable } from './counterpart.ts';
import { pieceAt, type Listing } from './listing.ts';

/**
 * Samples of content: where four bytes have a certain hash, about every 512 bytes, the twelve bytes there stand for what
 * is around them. Equal stretches are sampled alike wherever they stand.
 */
const SHIFT = 23;
const SAMPLED = 12;
const SLOT_BITS = 22;
const CHUNK = 1024 ** 2;
/** How exactly places are kept, in bytes: less than the header that stands before a body, and good for 64 GiB. */
const UNIT = 16;

/** About how far one sample is from the next, in bytes. */
export const SPACING = 2 ** (32 - SHIFT);

/** Where of a source a sample was seen first. */
export interface Samples {
  /** 1 + the offset in the layer stream in units of UNIT, by slot; 0 where there is none. */
  readonly places: Uint32Array<ArrayBuffer>;
  /** The sample itself, to tell apart what shares a slot. */
  readonly values: Int32Array<ArrayBuffer>;
}

/** Part of a file, in bytes. */
export type Range = readonly [start: number, end: number];

export interface SampleTask {
  /** A layer stream, and its pieces. */
  readonly path: string;
  readonly listing: Pick<Listing, 'count' | 'start' | 'body'>;
  /** The part to sample, as offsets. */
  readonly part: Range;
  /** As in `MatchOptions`. */
  readonly usable: Float64Array | undefined;
}

/** Shorter bodies have hardly a sample. */
const MIN_SAMPLED = 2 * SPACING;

/** Samples the bodies in a part of a stream. Takes 32 MiB, whatever that is: of what shares a slot the first is kept. */
export function samplePart({ path, listing, part, usable }: SampleTask): Samples {
  const places = new Uint32Array(1 << SLOT_BITS);
  const values = new Int32Array(1 << SLOT_BITS);
  const fd = openSync(path, 'r');
  try {
    for (const range of bodiesOf(listing, part, usable)) {
      forEachSample(fd, range, (sample, offset) => {
        const slot = sample >>> (32 - SLOT_BITS);
        if (places[slot] !== 0) return;
        places[slot] = 1 + Math.floor(offset / UNIT);
        values[slot] = sample;
      });
    }
  } finally {
    closeSync(fd);
  }
  return { places, values };
}

/** The bodies that may be copied from, as far as they lie in a part of the stream. */
function* bodiesOf(
  listing: SampleTask['listing'],
  [first, last]: Range,
  usable: Float64Array | undefined,
): Generator<Range, void> {
  const { start, body, count } = listing;
  for (let i = pieceAt(listing, first); i < count && start[i]! < last; i++) {
    if (start[i + 1]! - body[i]! >= MIN_SAMPLED && isUsable(usable, body[i]!))
      yield [Math.max(first, body[i]!), Math.min(last, start[i + 1]!)];
  }
}

/** Adds to the samples of a part those of one that follows it. */
export function addSamples({ places, values }: Samples, later: Samples): void {
  for (let slot = 0; slot < places.length; slot++) {
    if (places[slot] !== 0) continue;
    places[slot] = later.places[slot]!;
    values[slot] = later.values[slot]!;
  }
}

/** Gives the memory back without waiting for the collector. */
export function freeSamples({ places, values }: Samples): void {
  places.buffer.transfer(0);
  values.buffer.transfer(0);
}

/** About where in the source the sample was seen, or -1: never in another piece than it was. */
export function placeOf({ places, values }: Samples, sample: number): number {
  const slot = sample >>> (32 - SLOT_BITS);
  return values[slot] === sample ? (places[slot]! - 1) * UNIT : -1;
}

const chunk = new Uint8Array(CHUNK);
const view = new DataView(chunk.buffer);
const words = new Int32Array(chunk.buffer);
const MULTIPLIER = 0x9e3779b1;

/** The samples of a range in their order, but for those of what repeats itself. */
export function forEachSample(
  fd: number,
  [start, end]: Range,
  visit: (sample: number, offset: number) => void,
): void {
  let before = 0;

  /** @param first a hash of the four bytes at `i` of the chunk that says they are one of few */
  function take(first: number, i: number, at: number): void {
    let sample = Math.imul(view.getInt32(i + 4, true) ^ (first << 9), 0x85ebca6b);
    sample = Math.imul(sample ^ (sample >>> 15) ^ view.getInt32(i + 8, true), 0x2c1b3c6d);
    if (sample === before) return;
    before = sample;
    visit(sample, at + i);
  }

  for (let at = start; at < end;) {
    const size = readSync(fd, chunk, 0, Math.min(CHUNK, end - at), at);
    let i = 0;
    // word by word, which takes a third of the time
    const whole = LITTLE_ENDIAN ? size - SAMPLED - 3 : 0;
    for (let word = words[0]!; i < whole; i += 4) {
      const next = words[(i >> 2) + 1]!;
      const a = Math.imul(word, MULTIPLIER);
      const b = Math.imul((word >>> 8) | (next << 24), MULTIPLIER);
      const c = Math.imul((word >>> 16) | (next << 16), MULTIPLIER);
      const d = Math.imul((word >>> 24) | (next << 8), MULTIPLIER);
      word = next;
      if (a >>> SHIFT === 0 && a !== 0) take(a, i, at);
      if (b >>> SHIFT === 0 && b !== 0) take(b, i + 1, at);
      if (c >>> SHIFT === 0 && c !== 0) take(c, i + 2, at);
      if (d >>> SHIFT === 0 && d !== 0) take(d, i + 3, at);
    }
    for (; i + SAMPLED <= size; i++) {
      const first = Math.imul(view.getInt32(i, true), MULTIPLIER);
      if (first >>> SHIFT === 0 && first !== 0) take(first, i, at);
    }
    if (size < SAMPLED) return;
    at += at + size < end ? size - SAMPLED + 1 : size;
  }
}
