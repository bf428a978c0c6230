import { createHash, hash, type Hash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { shortened } from '../../runtime/blocking.ts';
import { createSharedColumn, growSharedColumn, type SharedColumn } from '../../runtime/column.ts';
import { PanamaxError } from '../../errors.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import type { ByteString } from '../../image/tar/entry.ts';
import { BLOCK_SIZE } from '../../image/tar/header.ts';
import { blockingInput, scanInput, type BlockingInput, type TarRange } from '../../image/tar/file.ts';
import { DIGEST_WORDS } from './groups.ts';

/**
 * A layer, or a stream of layers, cut into adjoining pieces: one for each tar entry, and one for the bytes behind the
 * last entry of a layer. A piece is a head (header blocks) followed by a body (stored content and padding). Columns in
 * shared memory: 16 bytes for each piece.
 */
export interface Listing {
  readonly count: number;
  /** Where piece i starts; one more for the end of the stream. */
  readonly start: Float64Array;
  /** Where the body of piece i starts; it ends where the next piece starts. */
  readonly body: Float64Array;
}

/** A listing with the digests that pieces are paired by: 64 more bytes for each piece. */
export interface DigestedListing extends Listing {
  /** Digests (sha256, as far as `DIGEST_WORDS` goes) of heads and bodies. */
  readonly headDigest: Int32Array;
  readonly bodyDigest: Int32Array;
  /** Digests of paths, and of names without version numbers; zero for the bytes behind the last entry. */
  readonly pathDigest: Int32Array;
  readonly nameDigest: Int32Array;
}

/** In bytes. */
const READ_AT_ONCE = 1024 ** 2;

export interface ListTask {
  readonly layers: readonly TarRange[];
  /** Shared between threads with the same layers: the index of the layer that is to be listed next. */
  readonly next: Int32Array<SharedArrayBuffer>;
}

/** Takes and lists one layer after the other until none is left. @returns listings by layer index */
export async function listLayers({ layers, next }: ListTask): Promise<Map<number, DigestedListing>> {
  const listings = new Map<number, DigestedListing>();
  for (let i = Atomics.add(next, 0, 1); i < layers.length; i = Atomics.add(next, 0, 1)) {
    listings.set(i, await listLayer(layers[i]!));
  }
  return listings;
}

async function listLayer(range: TarRange): Promise<DigestedListing> {
  const most = Math.min(Math.ceil((range.end - range.start) / BLOCK_SIZE), DEFAULT_LIMITS.maxEntries + 1);
  const listing = createTable(most);
  let count = 0;
  let at = range.start;
  const fd = openSync(range.path, 'r');
  const input = blockingInput(fd, range, READ_AT_ONCE);

  function add(body: number, end: number, path?: ByteString): void {
    makeRoom(listing, count + 1);
    listing.start[count] = at;
    listing.start[count + 1] = end;
    listing.body[count] = body;
    enter(listing.headDigest, count, digest(input, at, body));
    enter(listing.bodyDigest, count, digest(input, body, end));
    if (path !== undefined) {
      enter(listing.pathDigest, count, hash('sha256', path, 'binary'));
      enter(listing.nameDigest, count, hash('sha256', familyName(path), 'binary'));
    }
    count++;
    at = end;
  }

  try {
    try {
      const entries = scanInput(input, range, { limits: DEFAULT_LIMITS, where: range.path });
      for await (const { bodyOffset, end, path } of entries) add(bodyOffset, end, path);
    } catch (error) {
      // content that is no tar, or a tar beyond the limits, is one piece
      if (!(error instanceof PanamaxError) || !['bad-input', 'limit'].includes(error.kind)) throw error;
    }
    if (at < range.end) add(at, range.end);
    return ofTable(listing, count);
  } finally {
    closeSync(fd);
  }
}

/** The piece that contains an offset of the layer stream. */
export function pieceAt({ start, count }: Listing, offset: number): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (start[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The last component of a path with its version numbers taken out: libfoo.so.1.2.3 and libfoo.so.1.2.4 agree. */
function familyName(path: string): string {
  const name = path.slice(path.lastIndexOf('/', path.length - 2) + 1);
  return name.replace(/\d+/g, '0');
}

/** A listing that grows. */
interface Table {
  readonly start: Float64Array<SharedColumn>;
  readonly body: Float64Array<SharedColumn>;
  readonly headDigest: Int32Array<SharedColumn>;
  readonly bodyDigest: Int32Array<SharedColumn>;
  readonly pathDigest: Int32Array<SharedColumn>;
  readonly nameDigest: Int32Array<SharedColumn>;
}

/** @param max number of pieces at most */
function createTable(max: number): Table {
  const offsets = () => new Float64Array(createSharedColumn(8 * (max + 1)));
  const digests = () => new Int32Array(createSharedColumn(4 * DIGEST_WORDS * max));
  return {
    start: offsets(),
    body: offsets(),
    headDigest: digests(),
    bodyDigest: digests(),
    pathDigest: digests(),
    nameDigest: digests(),
  };
}

function makeRoom(table: Table, count: number): void {
  growSharedColumn(table.start.buffer, 8 * (count + 1));
  growSharedColumn(table.body.buffer, 8 * count);
  for (const name of DIGESTS) growSharedColumn(table[name].buffer, 4 * DIGEST_WORDS * count);
}

function ofTable({ start, body, ...digests }: Table, count: number): DigestedListing {
  const cut = ({ buffer }: Int32Array<SharedColumn>) => new Int32Array(buffer, 0, DIGEST_WORDS * count);
  makeRoom({ start, body, ...digests }, count);
  return {
    count,
    start: new Float64Array(start.buffer, 0, count + 1),
    body: new Float64Array(body.buffer, 0, count),
    headDigest: cut(digests.headDigest),
    bodyDigest: cut(digests.bodyDigest),
    pathDigest: cut(digests.pathDigest),
    nameDigest: cut(digests.nameDigest),
  };
}

const DIGESTS = ['headDigest', 'bodyDigest', 'pathDigest', 'nameDigest'] as const;

/** Joins the listings of layers to the listing of their stream. A layer may occur more than once. */
export function joined(layers: readonly DigestedListing[]): DigestedListing {
  const [only] = layers;
  if (only && layers.length === 1 && only.start[0] === 0) return only;
  const count = layers.reduce((sum, layer) => sum + layer.count, 0);
  const stream = ofTable(createTable(count), count);
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
    // bytes behind the last entry have no path: they are paired with those of the same layer
    const last = DIGEST_WORDS * (at - 1);
    if (layer.count > 0 && isEmpty(stream.pathDigest, at - 1)) stream.pathDigest[last] = index;
  }
  stream.start[count] = end;
  return stream;
}

function isEmpty(digests: Int32Array, i: number): boolean {
  return digests.subarray(DIGEST_WORDS * i, DIGEST_WORDS * (i + 1)).every((word) => word === 0);
}

/** @param bytes the digest, one byte a char; '' leaves the column unchanged */
function enter(digests: Int32Array, i: number, bytes: string): void {
  for (let word = 0; 4 * word < Math.min(bytes.length, 4 * DIGEST_WORDS); word++) {
    digests[DIGEST_WORDS * i + word] =
      bytes.charCodeAt(4 * word) |
      (bytes.charCodeAt(4 * word + 1) << 8) |
      (bytes.charCodeAt(4 * word + 2) << 16) |
      (bytes.charCodeAt(4 * word + 3) << 24);
  }
}

/** One byte a char; '' for an empty range. */
function digest(input: BlockingInput, start: number, end: number): string {
  if (start === end) return '';
  let sha256: Hash | undefined;
  let left = end - start;
  for (const piece of input.bytes(start, end)) {
    if (piece.length === end - start) return hash('sha256', piece, 'binary');
    sha256 ??= createHash('sha256');
    sha256.update(piece);
    left -= piece.length;
  }
  if (left > 0 || !sha256) throw shortened(end, end - left);
  return sha256.digest('binary');
}
