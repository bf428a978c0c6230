import { readSync } from 'node:fs';
import type { Listing } from './listing.ts';

/**
 * Which source piece a target piece without a namesake shares most content with. Both are sampled where four bytes
 * have a certain hash, about every 512 bytes, so that equal stretches are sampled alike wherever they stand.
 */
const SAMPLE_SHIFT = 23;
const SAMPLED = 12;
const SLOT_BITS = 22;
/** Bytes of target pieces without a counterpart that are worth reading the whole source for. */
const WORTHWHILE = 2 * 1024 ** 2;
/** Shorter pieces are left alone. */
const MIN_PIECE = 8 * 1024;
/** How many samples have to agree: so many, and so large a share. */
const MIN_VOTES = 6;
const MIN_SHARE = 0.02;
/** What is looked at of the source piece, in sizes of the target piece. */
const MAX_STRETCH = 4;
const CHUNK = 1024 ** 2;

/** Where samples were last seen: 1 + the piece, and the sample itself to tell apart what shares a slot. */
interface Samples {
  readonly piece: Int32Array;
  /** In the layer stream. */
  readonly offset: Float64Array;
  readonly sample: Int32Array;
}

/** A stretch of a source piece. */
export interface Similar {
  readonly piece: number;
  /** In the layer stream. */
  readonly start: number;
  readonly end: number;
}

/** For the target pieces asked for the source piece that is most like it, where one is like it at all. */
export function findSimilar(
  source: Listing & { readonly fd: number },
  target: Listing & { readonly fd: number },
  wanted: readonly number[],
  allowed: (piece: number) => boolean,
): Map<number, Similar> {
  const similar = new Map<number, Similar>();
  const lonely = wanted.filter((i) => sizeOf(target, i) >= MIN_PIECE);
  if (lonely.reduce((sum, i) => sum + sizeOf(target, i), 0) < WORTHWHILE) return similar;
  // in one piece, which goes back to the system whole
  const memory = new ArrayBuffer(16 << SLOT_BITS);
  const samples = {
    offset: new Float64Array(memory, 0, 1 << SLOT_BITS),
    piece: new Int32Array(memory, 8 << SLOT_BITS, 1 << SLOT_BITS),
    sample: new Int32Array(memory, 12 << SLOT_BITS, 1 << SLOT_BITS),
  };
  for (let i = 0; i < source.count; i++) {
    if (sizeOf(source, i) < MIN_PIECE || !allowed(i)) continue;
    forEachSample(source, i, (sample, offset) => note(samples, sample, i, offset));
  }
  for (const i of lonely) {
    const votes = new Map<number, number[]>();
    let count = 0;
    forEachSample(target, i, (sample) => {
      count++;
      const slot = sample >>> (32 - SLOT_BITS);
      if (samples.piece[slot] === 0 || samples.sample[slot] !== sample) return;
      const piece = samples.piece[slot]! - 1;
      const offsets = votes.get(piece);
      if (offsets) offsets.push(samples.offset[slot]!);
      else votes.set(piece, [samples.offset[slot]!]);
    });
    let best = Math.max(MIN_VOTES, count * MIN_SHARE) - 1;
    for (const [piece, offsets] of votes) {
      if (offsets.length <= best) continue;
      best = offsets.length;
      const [first, last] = bulkOf(offsets);
      const size = sizeOf(target, i);
      similar.set(i, {
        piece,
        start: Math.max(source.body[piece]!, first - size / 2),
        end: Math.min(source.start[piece + 1]!, last + size / 2, first + MAX_STRETCH * size),
      });
    }
  }
  return similar;
}

/** Where most of the offsets are. */
function bulkOf(offsets: number[]): [number, number] {
  offsets.sort((a, b) => a - b);
  const outliers = Math.floor(offsets.length / 16);
  return [offsets[outliers]!, offsets[offsets.length - 1 - outliers]!];
}

/** The first piece that has a sample keeps it. */
function note({ piece, sample, offset }: Samples, value: number, i: number, at: number): void {
  const slot = value >>> (32 - SLOT_BITS);
  if (piece[slot] !== 0) return;
  piece[slot] = i + 1;
  offset[slot] = at;
  sample[slot] = value;
}

const chunk = new Uint8Array(CHUNK);
const view = new DataView(chunk.buffer);

function forEachSample(
  { fd, start, body }: Listing & { readonly fd: number },
  piece: number,
  visit: (sample: number, offset: number) => void,
): void {
  let before = 0;
  for (let at = body[piece]!; at < start[piece + 1]!;) {
    const size = readSync(fd, chunk, 0, Math.min(CHUNK, start[piece + 1]! - at), at);
    for (let i = 0; i + SAMPLED <= size; i++) {
      const first = Math.imul(view.getInt32(i, true), 0x9e3779b1);
      if (first >>> SAMPLE_SHIFT !== 0 || first === 0) continue;
      let sample = Math.imul(view.getInt32(i + 4, true) ^ (first << 9), 0x85ebca6b);
      sample = Math.imul(sample ^ (sample >>> 15) ^ view.getInt32(i + 8, true), 0x2c1b3c6d);
      if (sample === before) continue;
      before = sample;
      visit(sample, at + i);
    }
    if (size < SAMPLED) return;
    at += at + size < start[piece + 1]! ? size - SAMPLED + 1 : size;
  }
}

function sizeOf({ start, body }: Listing, i: number): number {
  return start[i + 1]! - body[i]!;
}
