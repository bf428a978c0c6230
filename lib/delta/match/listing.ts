import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { PanamaxError } from '../../errors.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import type { ByteString } from '../../tar/entry.ts';
import { scanTarFile, type TarRange } from '../../tar/file.ts';

/**
 * A layer, or a stream of them, cut into pieces that tile it: one for each tar entry, and one for what stands behind
 * the last entry of a layer. A piece is a head (header blocks) followed by a body (stored content and padding).
 */
export interface Listing {
  readonly count: number;
  /** Where piece i starts; one more for the end of the stream. */
  readonly start: Float64Array;
  /** Where the body of piece i starts; it ends where the next piece starts. */
  readonly body: Float64Array;
  readonly path: readonly ByteString[];
  /** Digests (sha256) of heads and bodies; '' for an empty one. */
  readonly headDigest: readonly string[];
  readonly bodyDigest: readonly string[];
}

interface Piece {
  readonly path: ByteString;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

export interface ListTask {
  readonly layers: readonly TarRange[];
  /** Shared between threads with the same layers: the index of the layer that is to be listed next. */
  readonly next: Int32Array<SharedArrayBuffer>;
}

/** Lists layers, one after the other, as long as there are some that nobody has taken; by their indices. */
export async function listLayers({ layers, next }: ListTask): Promise<Map<number, Listing>> {
  const listings = new Map<number, Listing>();
  for (let i = Atomics.add(next, 0, 1); i < layers.length; i = Atomics.add(next, 0, 1)) {
    listings.set(i, await listLayer(layers[i]!));
  }
  return listings;
}

async function listLayer(range: TarRange): Promise<Listing> {
  const pieces = await findPieces(range);
  const fd = openSync(range.path, 'r');
  try {
    return {
      count: pieces.length,
      start: Float64Array.from([...pieces.map((piece) => piece.start), range.end]),
      body: Float64Array.from(pieces, (piece) => piece.body),
      path: pieces.map((piece) => piece.path),
      headDigest: pieces.map((piece) => digest(fd, piece.start, piece.body)),
      bodyDigest: pieces.map((piece) => digest(fd, piece.body, piece.end)),
    };
  } finally {
    closeSync(fd);
  }
}

/** What is behind the last entry has no path of its own. */
const REST = '\0';

async function findPieces(range: TarRange): Promise<Piece[]> {
  const pieces: Piece[] = [];
  let at = range.start;
  try {
    for await (const entry of scanTarFile(range, { limits: DEFAULT_LIMITS, where: range.path })) {
      pieces.push({ path: entry.path, start: at, body: entry.bodyOffset, end: entry.end });
      at = entry.end;
    }
  } catch (error) {
    // what is no tar, or one beyond the limits, is a piece as any other
    if (!(error instanceof PanamaxError) || !['bad-input', 'limit'].includes(error.kind)) throw error;
  }
  if (at < range.end) pieces.push({ path: REST, start: at, body: at, end: range.end });
  return pieces;
}

/** The listing of a stream, of those of its layers: each as it was listed, wherever its like stands. */
export function joined(layers: readonly Listing[]): Listing {
  const start: number[] = [];
  const body: number[] = [];
  let end = 0;
  for (const listing of layers) {
    const shift = end - listing.start[0]!;
    for (let i = 0; i < listing.count; i++) {
      start.push(listing.start[i]! + shift);
      body.push(listing.body[i]! + shift);
    }
    end = listing.start[listing.count]! + shift;
  }
  return {
    count: body.length,
    start: Float64Array.from([...start, end]),
    body: Float64Array.from(body),
    path: layers.flatMap(({ path }, layer) => path.map((name) => (name === REST ? `${REST}${layer}` : name))),
    headDigest: layers.flatMap(({ headDigest }) => headDigest),
    bodyDigest: layers.flatMap(({ bodyDigest }) => bodyDigest),
  };
}

const DIGESTED_AT_ONCE = 1024 ** 2;
const shared = Buffer.alloc(DIGESTED_AT_ONCE);

function digest(fd: number, start: number, end: number): string {
  if (start === end) return '';
  if (end - start <= DIGESTED_AT_ONCE) {
    const bytes = shared.subarray(0, end - start);
    readSync(fd, bytes, 0, bytes.length, start);
    return hash('sha256', bytes, 'base64');
  }
  const sha256 = createHash('sha256');
  for (let at = start; at < end;) {
    const got = readSync(fd, shared, 0, Math.min(shared.length, end - at), at);
    if (got === 0) throw new Error('the stream is shorter than its layers');
    sha256.update(shared.subarray(0, got));
    at += got;
  }
  return sha256.digest('base64');
}
