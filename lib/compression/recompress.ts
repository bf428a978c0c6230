import { createHash } from 'node:crypto';
import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { createCompressor } from './compressor.ts';
import type { Compression } from './recipe.ts';
import { libzstdFrame } from './zstd/libzstd.ts';

/** Input in bytes that is compressed at once, before the event loop gets a turn. */
export const PIECE_SIZE = 256 * 1024;

/** Compresses a layer's tar by its recipe. The reader may keep the chunks, except for encoder `none`. */
export async function* recompressed(
  tar: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array, void, void> {
  if (compression.encoder === 'none') {
    yield* tar;
    return;
  }
  if (compression.encoder === 'libzstd') {
    yield* libzstdFrame(tar, compression);
    return;
  }
  const compressor = createCompressor(compression);
  for await (const chunk of tar) {
    for (let at = 0; at < chunk.length; at += PIECE_SIZE) {
      const ready = compressor.next(chunk.subarray(at, at + PIECE_SIZE));
      if (ready.length > 0) yield ready;
    }
  }
  yield compressor.end();
}

/**
 * Yields the chunks of a rebuilt blob and verifies its size and digest. Fails before the last chunk if they differ,
 * so the blob is verified once the stream has been read to its end.
 *
 * @throws PanamaxError `bad-patch`
 */
export async function* provenBlob(
  pieces: AsyncIterable<Uint8Array>,
  { digest, size }: { readonly digest: Digest; readonly size: number },
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let left = size;
  const refuse = (expected: string, found: string) =>
    new PanamaxError('bad-patch', 'the compression recipe does not make the layer', {
      expected,
      found,
      where: digest,
    });
  for await (const piece of pieces) {
    left -= piece.length;
    if (left < 0) throw refuse(`${size} bytes`, 'more');
    hash.update(piece);
    if (left === 0) {
      const found = `sha256:${hash.digest('hex')}`;
      if (found !== digest) throw refuse(digest, found);
    }
    yield piece;
  }
  if (left > 0) throw refuse(`${size} bytes`, `${size - left} bytes`);
}
