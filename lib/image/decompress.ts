import { PassThrough, pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { checkExpansion, type ExpansionBounds } from './expansion.ts';
import { compressionOf, HEAD_SIZE } from './magic.ts';
import { splitFrames } from './zstdframes.ts';

const CHUNK_SIZE = 131072;
/** Chunks that are read and decompressed ahead of the caller, which would wait for each otherwise. */
const AHEAD = 4;

/**
 * Decompresses a layer: plain tar, gzip (RFC 1952) or zstd (RFC 8878) with any number of members or frames. Detects the
 * compression by the first bytes, as container engines do, because media types in archives are often wrong.
 *
 * @param bounds default: none
 * @throws PanamaxError `bad-input` for a damaged or truncated stream, and for other compressions; `limit` for a zstd
 *   window that is too large, or beyond the bounds
 */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
  bounds?: ExpansionBounds,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let size = 0;
  while (size < HEAD_SIZE) {
    const next = await iterator.next();
    if (next.done) break;
    head.push(next.value);
    size += next.value.length;
  }
  const rest: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => iterator };
  const whole = prepended(head, rest);
  const compression = compressionOf(Buffer.concat(head));
  if (compression === 'none') {
    yield* whole;
    return;
  }
  if (compression !== 'gzip' && compression !== 'zstd') {
    await iterator.return?.();
    throw new PanamaxError('bad-input', `layer is compressed by ${compression}, which is not supported`, {
      expected: 'a plain tar, gzip or zstd',
      found: compression,
      where,
    });
  }
  const check = (expanded: number) => {
    if (bounds) checkExpansion(expanded, bounds, where);
  };
  const [input, codec] =
    compression === 'gzip'
      ? [whole, createGunzip({ chunkSize: CHUNK_SIZE })]
      : [splitFrames(whole, where, check), createZstdDecompress({ chunkSize: CHUNK_SIZE })];
  let failure: unknown;
  const ahead = new PassThrough({ highWaterMark: AHEAD * CHUNK_SIZE });
  const output = pipeline(Readable.from(input, { highWaterMark: AHEAD }), codec, ahead, (error) => {
    failure = error;
  });
  let expanded = 0;
  try {
    for await (const piece of output as AsyncIterable<Uint8Array>) {
      expanded += piece.length;
      check(expanded);
      yield piece;
    }
  } catch (error) {
    const cause = failure ?? error;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (code.startsWith('Z_') || code.startsWith('ZSTD_') || code === 'ERR_ZLIB_INITIALIZATION_FAILED') {
      throw new PanamaxError('bad-input', `damaged compressed layer: ${(cause as Error).message}`, { where });
    }
    throw toPanamaxError(cause, where);
  }
}

async function* prepended(
  head: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  yield* head;
  yield* rest;
}
