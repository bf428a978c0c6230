import { open, type FileHandle } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import type { LayerStream } from '../delta/alignment.ts';
import type { Limits } from '../limits.ts';
import type { Image } from './image.ts';

/**
 * Writes an image's layer stream to a file: its uncompressed layers, bottom first, each verified against its
 * diffID. The caller removes the file, also after an error.
 *
 * @throws PanamaxError `bad-input`, `limit` over `maxImageSize`, `io`
 */
export async function unpackImage(
  image: Image,
  path: string,
  limits: Limits,
  signal?: AbortSignal,
): Promise<LayerStream> {
  const file = await open(path, 'wx');
  const layerSizes: number[] = [];
  try {
    let written = 0;
    for (const layer of image.layers) {
      const start = written;
      for await (const chunk of bounded(layer.tar(), limits.maxImageSize - start, limits, image.reference)) {
        signal?.throwIfAborted();
        await writeAll(file, chunk);
        written += chunk.length;
      }
      layerSizes.push(written - start);
    }
  } finally {
    await file.close();
  }
  return { path, layerSizes };
}

/** Passes chunks on as long as they stay within what is left of `maxImageSize`. */
export async function* bounded(
  chunks: AsyncIterable<Uint8Array>,
  left: number,
  limits: Limits,
  where: string,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of chunks) {
    left -= chunk.length;
    if (left < 0) {
      throw new PanamaxError('limit', 'image is over maxImageSize', {
        expected: `at most ${limits.maxImageSize} bytes uncompressed`,
        found: 'more',
        where,
      });
    }
    yield chunk;
  }
}

export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    done += (await file.write(chunk, done)).bytesWritten;
  }
}
