import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { splitFrames } from './zstdframes.ts';

const CHUNK_SIZE = 131072;

/**
 * Decompresses a layer: plain tar, gzip (RFC 1952) or zstd (RFC 8878) with any number of members or frames. Detects the
 * compression by the first bytes, as container engines do, because media types in archives are often wrong.
 *
 * @throws PanamaxError `bad-input` for a damaged or truncated stream
 */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let size = 0;
  while (size < 4) {
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
  const [input, codec] =
    compression === 'gzip'
      ? [whole, createGunzip({ chunkSize: CHUNK_SIZE })]
      : [splitFrames(whole, where), createZstdDecompress({ chunkSize: CHUNK_SIZE })];
  let failure: unknown;
  const output = pipeline(Readable.from(input), codec, (error) => {
    failure = error;
  });
  try {
    yield* output as AsyncIterable<Uint8Array>;
  } catch (error) {
    const cause = failure ?? error;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (code.startsWith('Z_') || code.startsWith('ZSTD_') || code === 'ERR_ZLIB_INITIALIZATION_FAILED') {
      throw new PanamaxError('bad-input', `damaged compressed layer: ${(cause as Error).message}`, { where });
    }
    throw toPanamaxError(cause, where);
  }
}

export type Compression = 'none' | 'gzip' | 'zstd';

/** Detects the compression by the first four bytes of a stream. */
export function compressionOf(head: Uint8Array): Compression {
  const hex = Buffer.from(head.subarray(0, 4)).toString('hex');
  if (hex.startsWith('1f8b')) return 'gzip';
  // the magic of a zstd frame, or of a skippable frame before it
  return hex === '28b52ffd' || /^5.2a4d18$/.test(hex) ? 'zstd' : 'none';
}

async function* prepended(
  head: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  yield* head;
  yield* rest;
}
