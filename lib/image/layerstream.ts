import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Digest } from '../digest.ts';
import type { Limits } from '../limits.ts';
import { writeAll } from '../runtime/file.ts';
import { tooLarge } from './expansion.ts';
import type { Image, Layer } from './open.ts';
import type { TarRange } from './tar/file.ts';

/** Bytes that are copied at once. */
const COPY_SIZE = 1024 ** 2;

/** Writes an image's layer stream to a file. */
export interface Spool {
  readonly file: FileHandle;
  /** Sizes of the layers written so far, in bytes. */
  readonly layerSizes: number[];
  /** Appends a layer's tar and yields its chunks. The tar is verified once the stream has been read to its end. */
  add(layer: Layer): AsyncGenerator<Uint8Array, void, void>;
  /** Appends a tar that was verified before. */
  copy(range: TarRange): Promise<void>;
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
  async function append(chunk: Uint8Array): Promise<void> {
    total += chunk.length;
    if (total > limits.maxImageSize) throw tooLarge(limits.maxImageSize, image.reference);
    await writeAll(file, chunk);
  }
  return {
    file,
    layerSizes,
    async *add(layer) {
      const start = total;
      for await (const chunk of layer.tar(limits.maxImageSize - start)) {
        await append(chunk);
        yield chunk;
      }
      layerSizes.push(total - start);
    },
    async copy({ path: from, start, end }) {
      if (end > start) {
        const chunks = createReadStream(from, { start, end: end - 1, highWaterMark: COPY_SIZE });
        for await (const chunk of chunks) await append(chunk as Buffer);
      }
      layerSizes.push(end - start);
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

/**
 * Writes the layer streams of two images to new files, both at once. Layers of the second that are layers of the first
 * are read from its layer stream.
 *
 * @throws PanamaxError as `unpackImage` does
 */
export async function unpackImages(
  [first, second]: readonly [Image, Image],
  [path, secondPath]: readonly [string, string],
  limits: Limits,
): Promise<[LayerStream, LayerStream]> {
  const unpacked = new Map<Digest, PromiseWithResolvers<TarRange>>();
  const wanted = new Set(second.layers.map(({ descriptor }) => descriptor.digest));
  for (const { descriptor } of first.layers) {
    if (!wanted.has(descriptor.digest)) continue;
    const range = Promise.withResolvers<TarRange>();
    // awaited later, if at all
    range.promise.catch(() => undefined);
    unpacked.set(descriptor.digest, range);
  }

  async function unpackFirst(): Promise<LayerStream> {
    try {
      await using spool = await openSpool(first, path, limits);
      let start = 0;
      for (const layer of first.layers) {
        for await (const _ of spool.add(layer));
        const end = start + spool.layerSizes.at(-1)!;
        unpacked.get(layer.descriptor.digest)?.resolve({ path, start, end });
        start = end;
      }
      return { path, layerSizes: spool.layerSizes };
    } catch (error) {
      for (const { reject } of unpacked.values()) reject(error);
      throw error;
    }
  }

  async function unpackSecond(): Promise<LayerStream> {
    await using spool = await openSpool(second, secondPath, limits);
    for (const layer of second.layers) {
      const range = unpacked.get(layer.descriptor.digest);
      if (range) await spool.copy(await range.promise);
      else for await (const _ of spool.add(layer));
    }
    return { path: secondPath, layerSizes: spool.layerSizes };
  }

  // both end before an error is thrown, because the caller removes the files
  const [one, other] = await Promise.allSettled([unpackFirst(), unpackSecond()]);
  if (one.status === 'rejected') throw one.reason;
  if (other.status === 'rejected') throw other.reason;
  return [one.value, other.value];
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
