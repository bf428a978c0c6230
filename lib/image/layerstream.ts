import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Digest } from '../digest.ts';
import type { Limits } from '../limits.ts';
import { writeAll } from '../runtime/file.ts';
import { sizeOfParts, type FilePart, type FileParts } from '../runtime/space.ts';
import { tooLarge } from './expansion.ts';
import type { Image, Layer } from './open.ts';
import type { TarRange } from './tar/file.ts';

const READ_SIZE = 256 * 1024;

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
  return streamInFile(path, spool.layerSizes);
}

/**
 * Writes the layer streams of two images to new files, both at once. Layers of the second that are layers of the first
 * are parts of its file.
 *
 * @throws PanamaxError as `unpackImage` does
 */
export async function unpackImages(
  [first, second]: readonly [Image, Image],
  [path, secondPath]: readonly [string, string],
  limits: Limits,
): Promise<[LayerStream, LayerStream]> {
  const unpacked = new Map<Digest, PromiseWithResolvers<FilePart>>();
  const wanted = new Set(second.layers.map(({ descriptor }) => descriptor.digest));
  for (const { descriptor } of first.layers) {
    if (!wanted.has(descriptor.digest)) continue;
    const part = Promise.withResolvers<FilePart>();
    // awaited later, if at all
    part.promise.catch(() => undefined);
    unpacked.set(descriptor.digest, part);
  }

  async function unpackFirst(): Promise<LayerStream> {
    try {
      await using spool = await openSpool(first, path, limits);
      for (const layer of first.layers) {
        for await (const _ of spool.add(layer));
        const { parts } = streamInFile(path, spool.layerSizes);
        unpacked.get(layer.descriptor.digest)?.resolve(parts.at(-1)!);
      }
      return streamInFile(path, spool.layerSizes);
    } catch (error) {
      for (const { reject } of unpacked.values()) reject(error);
      throw error;
    }
  }

  async function unpackSecond(): Promise<LayerStream> {
    await using spool = await openSpool(second, secondPath, limits);
    const parts: FilePart[] = [];
    for (const layer of second.layers) {
      const shared = unpacked.get(layer.descriptor.digest);
      if (shared) parts.push(await shared.promise);
      else {
        for await (const _ of spool.add(layer));
        parts.push(streamInFile(secondPath, spool.layerSizes).parts.at(-1)!);
      }
      if (sizeOfParts(parts) > limits.maxImageSize) throw tooLarge(limits.maxImageSize, second.reference);
    }
    return { parts };
  }

  // both end before an error is thrown, because the caller removes the files
  const [one, other] = await Promise.allSettled([unpackFirst(), unpackSecond()]);
  if (one.status === 'rejected') throw one.reason;
  if (other.status === 'rejected') throw other.reason;
  return [one.value, other.value];
}

/** One image's layer stream on disk: its uncompressed layer tars, one behind the other, bottom first. */
export interface LayerStream {
  /** The tars of the layers, in one file or in several. */
  readonly parts: FileParts;
  /** The layers' diffIDs if known, bottom first. */
  readonly diffIDs?: readonly Digest[];
}

/** A layer stream that is one file. @param layerSizes of the layers' tars in bytes, bottom first; their sum is the file's size */
export function streamInFile(path: string, layerSizes: readonly number[]): LayerStream {
  let end = 0;
  return {
    parts: layerSizes.map((size) => {
      const offset = end;
      end += size;
      return { path, offset, size };
    }),
  };
}

/** Sizes of the layers' tars in bytes, bottom first. */
export function layerSizes({ parts }: LayerStream): number[] {
  return parts.map(({ size }) => size);
}

/** The tar of a layer in its file. */
export interface LayerRange extends TarRange {
  /** Distance from an offset in the file to the same offset in the layer stream. */
  readonly shift: number;
}

export function layerRanges({ parts }: LayerStream): LayerRange[] {
  let at = 0;
  return parts.map(({ path, offset, size }) => {
    const range = { path, start: offset, end: offset + size, shift: at - offset };
    at += size;
    return range;
  });
}

/** Reads a layer. */
export function readPart({ path, offset, size }: FilePart): AsyncIterable<Uint8Array> {
  return size > 0
    ? createReadStream(path, { start: offset, end: offset + size - 1, highWaterMark: READ_SIZE })
    : none();
}

async function* none(): AsyncGenerator<Uint8Array, void, void> {}
