import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { PanamaxError } from '../../errors.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import type { ByteString } from '../../tar/entry.ts';
import { scanTarFile, type TarRange } from '../../tar/file.ts';
import { DIGEST_WORDS } from './groups.ts';

/**
 * A layer, or a stream of them, cut into pieces that tile it: one for each tar entry, and one for what stands behind
 * the last entry of a layer. A piece is a head (header blocks) followed by a body (stored content and padding).
 * In columns, which threads share: 16 bytes for each piece.
 */
export interface Listing {
  readonly count: number;
  /** Where piece i starts; one more for the end of the stream. */
  readonly start: Float64Array;
  /** Where the body of piece i starts; it ends where the next piece starts. */
  readonly body: Float64Array;
}

/** A listing as it is made, with what pieces are told by: 64 more bytes for each. */
export interface DigestedListing extends Listing {
  /** Digests (sha256, as far as `DIGEST_WORDS` goes) of heads and bodies. */
  readonly headDigest: Int32Array;
  readonly bodyDigest: Int32Array;
  /** And of paths, and of names without version numbers; what is behind the last entry has neither. */
  readonly pathDigest: Int32Array;
  readonly nameDigest: Int32Array;
}

export interface ListTask {
  readonly layers: readonly TarRange[];
  /** Shared between threads with the same layers: the index of the layer that is to be listed next. */
  readonly next: Int32Array<SharedArrayBuffer>;
}

/** Lists layers, one after the other, as long as there are some that nobody has taken; by their indices. */
export async function listLayers({ layers, next }: ListTask): Promise<Map<number, DigestedListing>> {
  const listings = new Map<number, DigestedListing>();
  for (let i = Atomics.add(next, 0, 1); i < layers.length; i = Atomics.add(next, 0, 1)) {
    listings.set(i, await listLayer(layers[i]!));
  }
  return listings;
}

async function listLayer(range: TarRange): Promise<DigestedListing> {
  let listing = createListing(1024, 0);
  let count = 0;
  let at = range.start;
  const fd = openSync(range.path, 'r');

  function add(body: number, end: number, path?: ByteString): void {
    if (count === listing.count) listing = resized(listing, 2 * count);
    listing.start[count] = at;
    listing.start[count + 1] = end;
    listing.body[count] = body;
    enter(listing.headDigest, count, digest(fd, at, body));
    enter(listing.bodyDigest, count, digest(fd, body, end));
    if (path !== undefined) {
      enter(listing.pathDigest, count, hash('sha256', path, 'binary'));
      enter(listing.nameDigest, count, hash('sha256', familyName(path), 'binary'));
    }
    count++;
    at = end;
  }

  try {
    try {
      const entries = scanTarFile(range, { limits: DEFAULT_LIMITS, where: range.path });
      for await (const { bodyOffset, end, path } of entries) add(bodyOffset, end, path);
    } catch (error) {
      // what is no tar, or one beyond the limits, is a piece as any other
      if (!(error instanceof PanamaxError) || !['bad-input', 'limit'].includes(error.kind)) throw error;
    }
    if (at < range.end) add(at, range.end);
    return resized(listing, count);
  } finally {
    closeSync(fd);
  }
}

/** The last component of a path with its version numbers taken out: libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
function familyName(path: string): string {
  const name = path.slice(path.lastIndexOf('/', path.length - 2) + 1);
  return name.replace(/\d+/g, '0');
}

function createListing(count: number, end: number): DigestedListing {
  const digests = () => new Int32Array(new SharedArrayBuffer(4 * DIGEST_WORDS * count));
  const start = sharedOffsets(count + 1);
  start[count] = end;
  return {
    count,
    start,
    body: sharedOffsets(count),
    headDigest: digests(),
    bodyDigest: digests(),
    pathDigest: digests(),
    nameDigest: digests(),
  };
}

function sharedOffsets(count: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * count));
}

/** With the first pieces only, or with room for more. */
function resized(listing: DigestedListing, count: number): DigestedListing {
  const wanted = createListing(count, 0);
  const kept = Math.min(count, listing.count);
  wanted.start.set(listing.start.subarray(0, kept + 1));
  wanted.body.set(listing.body.subarray(0, kept));
  for (const name of DIGESTS) wanted[name].set(listing[name].subarray(0, DIGEST_WORDS * kept));
  return wanted;
}

const DIGESTS = ['headDigest', 'bodyDigest', 'pathDigest', 'nameDigest'] as const;

/** The listing of a stream, of those of its layers: each as it was listed, wherever its like stands. */
export function joined(layers: readonly DigestedListing[]): DigestedListing {
  const [only] = layers;
  if (only && layers.length === 1 && only.start[0] === 0) return only;
  const count = layers.reduce((sum, layer) => sum + layer.count, 0);
  const size = layers.reduce((sum, { start, count }) => sum + start[count]! - start[0]!, 0);
  const stream = createListing(count, size);
  let at = 0;
  let end = 0;
  for (const [index, layer] of layers.entries()) {
    const shift = end - layer.start[0]!;
    for (let i = 0; i < layer.count; i++) {
      stream.start[at + i] = layer.start[i]! + shift;
      stream.body[at + i] = layer.body[i]! + shift;
    }
    for (const name of DIGESTS) stream[name].set(layer[name], DIGEST_WORDS * at);
    end = layer.start[layer.count]! + shift;
    at += layer.count;
    // without a path, what is behind the last entry is paired with its like of the same layer
    const last = DIGEST_WORDS * (at - 1);
    if (layer.count > 0 && isEmpty(stream.pathDigest, at - 1)) stream.pathDigest[last] = index;
  }
  return stream;
}

function isEmpty(digests: Int32Array, i: number): boolean {
  return digests.subarray(DIGEST_WORDS * i, DIGEST_WORDS * (i + 1)).every((word) => word === 0);
}

/** @param bytes the digest, a char each; '' leaves it as it is */
function enter(digests: Int32Array, i: number, bytes: string): void {
  for (let word = 0; 4 * word < Math.min(bytes.length, 4 * DIGEST_WORDS); word++) {
    digests[DIGEST_WORDS * i + word] =
      bytes.charCodeAt(4 * word) |
      (bytes.charCodeAt(4 * word + 1) << 8) |
      (bytes.charCodeAt(4 * word + 2) << 16) |
      (bytes.charCodeAt(4 * word + 3) << 24);
  }
}

const DIGESTED_AT_ONCE = 1024 ** 2;
const shared = Buffer.alloc(DIGESTED_AT_ONCE);

/** As chars of a byte each; '' where there is nothing. */
function digest(fd: number, start: number, end: number): string {
  if (start === end) return '';
  if (end - start <= DIGESTED_AT_ONCE) {
    const bytes = shared.subarray(0, end - start);
    readSync(fd, bytes, 0, bytes.length, start);
    return hash('sha256', bytes, 'binary');
  }
  const sha256 = createHash('sha256');
  for (let at = start; at < end;) {
    const got = readSync(fd, shared, 0, Math.min(shared.length, end - at), at);
    if (got === 0) throw new Error('the stream is shorter than its layers');
    sha256.update(shared.subarray(0, got));
    at += got;
  }
  return sha256.digest('binary');
}
