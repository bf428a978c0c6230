import { open, type FileHandle } from 'node:fs/promises';
import type { Digest } from '../digest.ts';
import type { Limits } from '../limits.ts';
import { writeAll } from '../runtime/file.ts';
import { tooLarge } from './expansion.ts';
import type { Image, Layer } from './open.ts';
import type { TarRange } from './tar/file.ts';

/** Writes an image's layer stream to a file. */
export interface Spool {
  readonly file: FileHandle;
  /** Sizes of the layers written so far, in bytes. */
  readonly layerSizes: number[];
  /** Appends a layer's tar and yields its chunks. The tar is verified once the stream has been read to its end. */
  add(layer: Layer): AsyncGenerator<Uint8Array, void, void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Creates a file for an image's layer stream. The caller removes the file, also after an error.
 *
 * @throws PanamaxError `bad-input`, `limit` over `maxImageSize`, `io`
 */
export async function openSpool(
  image: Pick<Image, 'reference'>,
  path: string,
  limits: Limits,
): Promise<Spool> {
  const file = await open(path, 'wx+');
  const layerSizes: number[] = [];
  let total = 0;
  return {
    file,
    layerSizes,
    async *add(layer) {
      const start = total;
      for await (const chunk of layer.tar(limits.maxImageSize - start)) {
        total += chunk.length;
        if (total > limits.maxImageSize) throw tooLarge(limits.maxImageSize, image.reference);
        await writeAll(file, chunk);
        yield chunk;
      }
      layerSizes.push(total - start);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/**
 * Writes the layer stream of an image, or of layers of several images, to a new file. Each layer is verified against
 * its diffID.
 *
 * @throws PanamaxError as `openSpool` and its `add` do
 */
export async function unpackImage(
  image: Pick<Image, 'reference' | 'layers'>,
  path: string,
  limits: Limits,
  signal?: AbortSignal,
): Promise<LayerStream> {
  await using spool = await openSpool(image, path, limits);
  for (const layer of image.layers) {
    for await (const _ of spool.add(layer)) signal?.throwIfAborted();
  }
  return { path, layerSizes: spool.layerSizes };
}

/** One image's layer stream on disk: its uncompressed layer tars, concatenated bottom first. */
export interface LayerStream {
  /** A regular file. */
  readonly path: string;
  /** Sizes of the layers' tars in bytes, bottom first. Their sum is the file's size. */
  readonly layerSizes: readonly number[];
  /** The layers' diffIDs if known, bottom first. */
  readonly diffIDs?: readonly Digest[];
}

/** The range of each layer's tar in the stream. */
export function layerRanges({ path, layerSizes }: LayerStream): TarRange[] {
  let end = 0;
  return layerSizes.map((size) => {
    const start = end;
    end += size;
    return { path, start, end };
  });
}
