import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../digest.ts';
import type { Limits } from '../limits.ts';
import { writeAll, writing } from '../runtime/file.ts';
import type { FilePart, FileParts } from '../runtime/space.ts';
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

/** A layer to unpack, and the images that have it, once for each time. */
interface UnpackJob {
  readonly layer: Layer;
  readonly owners: Image[];
  readonly path: string;
  readonly written: PromiseWithResolvers<FilePart>;
}

/** Images while their layers are written to files. */
export interface Unpacking {
  /** The tars of each image's layers, each as soon as it is there. */
  readonly tars: readonly (readonly Promise<FilePart>[])[];
  /** The layer streams. Settles once no file is written any more. @throws PanamaxError as `unpackImage` does */
  readonly streams: Promise<LayerStream[]>;
}

/** Layers that are unpacked at the same time. */
const CONCURRENCY = 3;

/**
 * Writes the layers of several images to new files, some at the same time. A layer that several images have is written
 * once. The caller removes the files, also after an error.
 */
export function unpackImages(images: readonly Image[], directory: string, limits: Limits): Unpacking {
  const jobs = new Map<string, UnpackJob>();
  for (const image of images) {
    for (const layer of image.layers) {
      const key = keyOf(layer);
      if (!jobs.has(key)) {
        const written = Promise.withResolvers<FilePart>();
        // an error is that of the streams
        written.promise.catch(() => undefined);
        jobs.set(key, { layer, owners: [], path: join(directory, `unpacked-${jobs.size}`), written });
      }
      jobs.get(key)!.owners.push(image);
    }
  }
  const totals = new Map(images.map((image) => [image, 0]));
  async function unpack({ layer, owners, path }: UnpackJob): Promise<FilePart> {
    const room = limits.maxImageSize - Math.max(...owners.map((owner) => totals.get(owner)!));
    let size = 0;
    for await (const { length } of writing(path, layer.tar(room))) {
      size += length;
      for (const owner of owners) {
        const total = totals.get(owner)! + length;
        totals.set(owner, total);
        if (total > limits.maxImageSize) throw tooLarge(limits.maxImageSize, owner.reference);
      }
    }
    return { path, offset: 0, size };
  }
  const failures = new Map<UnpackJob, unknown>();
  // layers that a later image adds come first, since more is to be done with them
  const rank = ({ owners: [first] }: UnpackJob) => images.indexOf(first!);
  const queue = [...jobs.values()]
    .toSorted((a, b) => rank(b) - rank(a) || b.layer.descriptor.size - a.layer.descriptor.size)
    .values();
  const work = async () => {
    for (const job of queue) {
      if (failures.size > 0) return;
      try {
        job.written.resolve(await unpack(job));
      } catch (error) {
        failures.set(job, error);
      }
    }
  };
  const tars = images.map(({ layers }) => layers.map((layer) => jobs.get(keyOf(layer))!.written.promise));
  async function streams(): Promise<LayerStream[]> {
    // all end before an error is thrown, because the caller removes the files
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
    const failed = [...jobs.values()].find((job) => failures.has(job));
    if (failed) {
      for (const { written } of jobs.values()) written.reject(failures.get(failed));
      throw failures.get(failed);
    }
    return Promise.all(tars.map(async (parts) => ({ parts: await Promise.all(parts) })));
  }
  return { tars, streams: streams() };
}

/** The digests of the blob and of the tar that the image claims it to hold. */
function keyOf({ descriptor, diffID }: Layer): string {
  return `${descriptor.digest} ${diffID}`;
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
