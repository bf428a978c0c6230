import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { PanamaxError } from '../../errors.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import type { ByteString } from '../../tar/entry.ts';
import { scanTarFile, type TarRange } from '../../tar/file.ts';
import type { LayerStream } from '../alignment.ts';

/**
 * A layer stream cut into pieces that tile it: one for each tar entry, and one for what stands behind the
 * last entry of a layer. A piece is a head (header blocks) followed by a body (stored content and padding).
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

export async function listStream(stream: LayerStream): Promise<Listing> {
  const pieces: Piece[] = [];
  let base = 0;
  for (const [layer, size] of stream.layerSizes.entries()) {
    const end = base + size;
    await listLayer({ path: stream.path, start: base, end }, layer, pieces);
    base = end;
  }
  const fd = openSync(stream.path, 'r');
  try {
    const start = Float64Array.from([...pieces.map((piece) => piece.start), base]);
    const body = Float64Array.from(pieces, (piece) => piece.body);
    const headDigest = pieces.map((piece) => digest(fd, piece.start, piece.body));
    const bodyDigest = pieces.map((piece) => digest(fd, piece.body, piece.end));
    return { count: pieces.length, start, body, path: pieces.map((p) => p.path), headDigest, bodyDigest };
  } finally {
    closeSync(fd);
  }
}

async function listLayer(range: TarRange, layer: number, pieces: Piece[]): Promise<void> {
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
  if (at < range.end) pieces.push({ path: `\0${layer}`, start: at, body: at, end: range.end });
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
