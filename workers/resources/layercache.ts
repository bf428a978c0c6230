import type { Digest } from '../../lib/digest.ts';
import type { LayerStream } from '../../lib/image/layerstream.ts';
import type { UnpackedLayer } from '../../lib/image/unpackthread.ts';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { createSemaphore } from '../../lib/runtime/semaphore.ts';
import { isThere } from '../../lib/runtime/scratch.ts';
import { createBlobCache, type BlobCache } from './blobcache.ts';

/**
 * Unpacked layers on scratch, shared by the jobs of one process: a layer of many images is fetched and unpacked once.
 * Bytes on disk never exceed `maxSize`. Layers in use are never evicted, the others least recently used first.
 */
export interface LayerCache {
  /**
   * Waits for room for all images of a job, unpacks the layers that are missing, and keeps them until the lease is
   * disposed of. A job takes all of its images by one lease, so that no two jobs wait for each other.
   *
   * @throws PanamaxError `refusal` for a request that never fits; `io` if files have been removed by others (the next
   * lease unpacks them again); errors of `unpack`
   */
  lease(request: LeaseRequest): Promise<Lease>;
  /** Whether each of these layers is on scratch, or on its way there. */
  has(layers: readonly Digest[]): boolean;
  readonly stats: Readonly<CacheStats>;
  /** Bytes on scratch at most. */
  readonly maxSize: number;
  /** Error for a job that never fits: `limit`, or `io` if the limit is the free space of the disk. */
  refusal(found: number | string): PanamaxError;
  /** Counts bytes of layers that a job has unpacked for itself. */
  noteRead(bytes: number): void;
  /** Compressed blobs of images in registries. */
  readonly blobs: BlobCache;
  /** Stops unpacking and removes all files. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LeaseRequest {
  readonly images: readonly CachedImage[];
  /** Bytes that the job itself writes to scratch. */
  readonly ownSize: number;
  readonly signal: AbortSignal;
}

export interface CachedImage {
  /** Names the image, or the images that are one source. */
  readonly key: string;
  /** Bottom first; a layer may occur more than once. */
  readonly layers: readonly CachedLayer[];
  /**
   * Writes layers of the image to new files, each verified and of its size. The cache removes the files after an error.
   *
   * @param onLayer called with the diffID of each layer that is written
   */
  unpack(
    layers: readonly UnpackedLayer[],
    onLayer: (diffID: string) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface CachedLayer {
  readonly diffID: Digest;
  /** Of the tar, in bytes. */
  readonly size: number;
}

export interface Lease {
  /** In the order of the request. */
  readonly streams: readonly LayerStream[];
  [Symbol.dispose](): void;
}

export interface CacheStats {
  /** Layers that were unpacked, or being unpacked, when a job requested them. */
  hits: number;
  misses: number;
  evictions: number;
  /** Of layers unpacked, by jobs for themselves as well. */
  bytesRead: number;
  /** On scratch or reserved, now and at most. */
  bytes: number;
  peakBytes: number;
}

interface Entry {
  readonly path: string;
  readonly size: number;
  readonly unpacking: Unpacking;
  /** Settles when the layer is written. */
  readonly written: Promise<void>;
  users: number;
  isReady: boolean;
}

/** One image that writes some of its layers. */
interface Unpacking {
  /** Of the image. */
  readonly key: string;
  /** Settles when no layer is written any more. */
  readonly ended: Promise<void>;
  readonly stop: AbortController;
  /** Number of its layers that are in the cache. */
  wanted: number;
}

/** Size of the cache of compressed blobs, as a share of `maxSize`; not counted in it. */
const BLOBS_SHARE = 1 / 8;

/**
 * @param directory created if it is missing, removed in the end
 * @param isDisk `maxSize` is the free space that was found at the start, not an option: it may differ at another time
 */
export function createLayerCache(directory: string, maxSize: number, isDisk = false): LayerCache {
  /** By diffID, least recently used first. */
  const entries = new Map<Digest, Entry>();
  const semaphore = createSemaphore(maxSize);
  const removals = new Set<Promise<void>>();
  const stats: CacheStats = { hits: 0, misses: 0, evictions: 0, bytesRead: 0, bytes: 0, peakBytes: 0 };
  /** Bytes of files that are being removed. */
  let freeing = 0;
  let names = 0;
  let isClosed = false;

  /** Waits for room on scratch, then takes the layers. FIFO, so large requests are not starved. */
  async function admission({ images, ownSize, signal }: LeaseRequest): Promise<ReadonlyMap<Digest, Entry>> {
    const layers = layersOf(images);
    let taken: ReadonlyMap<Digest, Entry> = new Map();
    await semaphore.acquire({
      signal,
      weight: () => totalOf([...layers.values()].filter(({ diffID }) => !entries.has(diffID))) + ownSize,
      onShort: (lacking) => evict(lacking - freeing, layers),
      onAdmit() {
        stats.bytes = semaphore.used;
        stats.peakBytes = Math.max(stats.peakBytes, stats.bytes);
        for (const diffID of layers.keys()) stats[entries.has(diffID) ? 'hits' : 'misses']++;
        for (const image of images) begin(image);
        taken = new Map([...layers.keys()].map((diffID) => [diffID, take(diffID)]));
      },
    });
    return taken;
  }

  function evict(excess: number, needed: ReadonlyMap<Digest, unknown>): void {
    for (const [diffID, entry] of entries) {
      if (excess <= 0) return;
      if (entry.users > 0 || needed.has(diffID)) continue;
      excess -= entry.size;
      stats.evictions++;
      drop(diffID, entry);
    }
  }

  function drop(diffID: Digest, entry: Entry): void {
    entries.delete(diffID);
    if (--entry.unpacking.wanted === 0) entry.unpacking.stop.abort();
    freeing += entry.size;
    const removal = remove(entry).finally(() => removals.delete(removal));
    removals.add(removal);
  }

  /** Room is released only after the file has been removed. */
  async function remove({ path, size, unpacking, isReady }: Entry): Promise<void> {
    if (!isReady) await unpacking.ended;
    await rm(path, { force: true }).catch(() => {});
    freeing -= size;
    free(size);
  }

  function free(size: number): void {
    semaphore.release(size);
    stats.bytes = semaphore.used;
  }

  /** Begins to write the layers of an image that are missing. */
  function begin(image: CachedImage): void {
    const missing = [...layersOf([image]).values()]
      .filter(({ diffID }) => !entries.has(diffID))
      .map((layer) => ({ ...layer, path: join(directory, String(names++)) }));
    if (missing.length === 0) return;
    const stop = new AbortController();
    const writes = new Map<string, PromiseWithResolvers<void>>(
      missing.map(({ diffID }) => [diffID, Promise.withResolvers<void>()]),
    );
    const unpack = async () => {
      await mkdir(directory, { recursive: true });
      stop.signal.throwIfAborted();
      await image.unpack(missing, (diffID) => writes.get(diffID)?.resolve(), stop.signal);
    };
    const ended = unpack().then(
      () => writes.forEach(({ resolve }) => resolve()),
      // layers that are written stay
      (error: unknown) => writes.forEach(({ reject }) => reject(error)),
    );
    const unpacking: Unpacking = { key: image.key, ended, stop, wanted: missing.length };
    for (const { diffID, size, path } of missing) {
      const written = writes.get(diffID)!.promise;
      const entry: Entry = { path, size, unpacking, written, users: 0, isReady: false };
      entries.set(diffID, entry);
      void settle(diffID, entry);
    }
  }

  async function settle(diffID: Digest, entry: Entry): Promise<void> {
    try {
      await entry.written;
      entry.isReady = true;
      stats.bytesRead += entry.size;
    } catch {
      // the next lease tries again
      if (entries.get(diffID) === entry) drop(diffID, entry);
    }
  }

  function take(diffID: Digest): Entry {
    const entry = entries.get(diffID)!;
    entry.users++;
    touch(diffID, entry);
    return entry;
  }

  function touch(diffID: Digest, entry: Entry): void {
    entries.delete(diffID);
    entries.set(diffID, entry);
  }

  function giveBack(diffID: Digest, entry: Entry): void {
    entry.users--;
    if (entries.get(diffID) !== entry) return;
    if (entry.isReady) touch(diffID, entry);
    // no job waits for it
    else if (entry.users === 0) drop(diffID, entry);
  }

  /**
   * Waits until layers are written.
   *
   * @returns whether another image failed to write one of them: its error does not fail this job
   */
  async function hasOtherFailed(
    taken: ReadonlyMap<Digest, Entry>,
    { images, signal }: LeaseRequest,
  ): Promise<boolean> {
    const own = new Set(images.map(({ key }) => key));
    const written = [...taken.values()].map(async (entry) => {
      try {
        await entry.written;
        return false;
      } catch (error) {
        if (own.has(entry.unpacking.key)) throw error;
        return true;
      }
    });
    return (await raceAbort(Promise.all(written), signal)).includes(true);
  }

  /** Drops layers whose files have been removed by others. */
  async function refuseLost(taken: ReadonlyMap<Digest, Entry>): Promise<void> {
    for (const [diffID, entry] of taken) {
      if (await isThere(entry.path)) continue;
      if (entries.get(diffID) === entry) drop(diffID, entry);
      throw new PanamaxError('io', 'layers on scratch are gone', { where: entry.path });
    }
  }

  function refusal(found: number | string): PanamaxError {
    const expected = `at most ${maxSize} bytes`;
    return isDisk
      ? new PanamaxError('io', 'images are over what the scratch disk has free', {
          expected,
          found,
          where: directory,
        })
      : new PanamaxError('limit', 'images are over scratchSize', { expected, found });
  }

  return {
    stats,
    maxSize,
    refusal,
    noteRead(bytes) {
      stats.bytesRead += bytes;
    },
    blobs: createBlobCache(join(directory, 'blobs'), maxSize * BLOBS_SHARE),
    has: (layers) => layers.every((diffID) => entries.has(diffID)),
    async lease(request) {
      const { images, ownSize, signal } = request;
      const needed = totalOf(layersOf(images).values()) + ownSize;
      for (;;) {
        signal.throwIfAborted();
        if (isClosed) throw closed();
        if (needed > maxSize) {
          const sizes = images.map(({ layers }) => totalOf(layers)).join(' and ');
          throw refusal(images.length > 0 ? `${needed} for ${sizes} bytes of layers` : needed);
        }
        const taken = await admission(request);
        const release = once(() => {
          for (const [diffID, entry] of taken) giveBack(diffID, entry);
          free(ownSize);
        });
        try {
          if (await hasOtherFailed(taken, request)) {
            release();
            continue;
          }
          await refuseLost(taken);
          const streams = images.map(({ layers }) => ({
            parts: layers.map(({ diffID, size }) => ({ path: taken.get(diffID)!.path, offset: 0, size })),
          }));
          return { streams, [Symbol.dispose]: release };
        } catch (error) {
          release();
          throw error;
        }
      }
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      semaphore.close(closed());
      for (const [key, entry] of entries) drop(key, entry);
      await Promise.all(removals);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function closed(): PanamaxError {
  return new PanamaxError('interrupted', 'scratch is being put away');
}

/** The layers of images, each once. */
function layersOf(images: readonly CachedImage[]): Map<Digest, CachedLayer> {
  return new Map(images.flatMap(({ layers }) => layers.map((layer) => [layer.diffID, layer])));
}

function totalOf(layers: Iterable<CachedLayer>): number {
  let total = 0;
  for (const { size } of layers) total += size;
  return total;
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
