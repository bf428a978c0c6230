import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { ByteString } from '../../tar/entry.ts';
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
  path: string;
  start: number;
  body: number;
  end: number;
}

export function listStream(stream: LayerStream): Listing {
  const fd = openSync(stream.path, 'r');
  try {
    const pieces: Piece[] = [];
    let base = 0;
    stream.layerSizes.forEach((size, layer) => {
      walkTar(fd, base, base + size, layer, pieces);
      base += size;
    });
    const start = Float64Array.from([...pieces.map((piece) => piece.start), base]);
    const body = Float64Array.from(pieces, (piece) => piece.body);
    const headDigest = pieces.map((piece) => digest(fd, piece.start, piece.body));
    const bodyDigest = pieces.map((piece) => digest(fd, piece.body, piece.end));
    return { count: pieces.length, start, body, path: pieces.map((p) => p.path), headDigest, bodyDigest };
  } finally {
    closeSync(fd);
  }
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

// TEMPORARY: gives way to lib/tar/scan.ts.
function walkTar(fd: number, start: number, end: number, layer: number, pieces: Piece[]): void {
  const header = Buffer.alloc(512);
  let at = start;
  let entry = start;
  let path = '';
  while (at + 512 <= end) {
    readSync(fd, header, 0, 512, at);
    if (header[0] === 0 || header.toString('latin1', 257, 262) !== 'ustar') break;
    const size = parseInt(header.toString('latin1', 124, 135), 8) || 0;
    const type = String.fromCharCode(header[156]!);
    const stored = Math.ceil(size / 512) * 512;
    if (at + 512 + stored > end) break;
    if (type === 'x' || type === 'L') {
      const ext = Buffer.alloc(size);
      readSync(fd, ext, 0, size, at + 512);
      const text = ext.toString('latin1');
      path = type === 'L' ? text.replace(/\0.*/s, '') : (/ path=([^\n]*)\n/.exec(text)?.[1] ?? '');
      at += 512 + stored;
      continue;
    }
    if (!path) {
      const cut = (from: number, length: number) =>
        header.toString('latin1', from, from + length).replace(/\0.*/s, '');
      const prefix = cut(345, 155);
      path = (prefix ? `${prefix}/` : '') + cut(0, 100);
    }
    const hasBody = '0\0'.includes(type) || type === '7';
    const next = at + 512 + (hasBody ? stored : 0);
    pieces.push({ path, start: entry, body: at + 512, end: next });
    path = '';
    at = entry = next;
  }
  if (entry < end) pieces.push({ path: `\0${layer}`, start: entry, body: entry, end });
}
