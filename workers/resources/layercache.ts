import type { LayerStream } from '../../lib/image/layerstream.ts';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { createSemaphore } from '../../lib/runtime/semaphore.ts';
import { isThere } from '../../lib/runtime/scratch.ts';
import { createBlobCache, type BlobCache } from './blobcache.ts';

/**
 * Layer streams of images on scratch, shared by the jobs of one process: an image that many jobs need is fetched and
 * unpacked once. Bytes on disk never exceed `maxSize`. Streams in use are never evicted, the others least recently used
 * first.
 */
export interface LayerCache {
  /**
   * Waits for room for all images of a job, unpacks those that are missing, and keeps them until the lease is disposed
   * of. A job takes all of its images by one lease, so that no two jobs wait for each other.
   *
   * @throws PanamaxError `refusal` for a request that never fits; `io` if files have been removed by others (the next
   * lease unpacks them again); errors of `unpack`
   */
  lease(request: LeaseRequest): Promise<Lease>;
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
  /** Key of the layer stream; images with the same layers share it. */
  readonly key: string;
  /** Of the layer stream, in bytes. */
  readonly size: number;
  /** Writes it to a new file, verified, no longer than `size`; the file is removed after an error. */
  unpack(path: string, signal: AbortSignal): Promise<LayerStream>;
}

export interface Lease {
  /** In the order of the request. */
  readonly streams: readonly LayerStream[];
  [Symbol.dispose](): void;
}

export interface CacheStats {
  /** Images that were unpacked, or being unpacked, when a job requested them. */
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
  readonly stream: Promise<LayerStream>;
  readonly stop: AbortController;
  users: number;
  isReady: boolean;
}

/** Size of the cache of compressed blobs, as a share of `maxSize`; not counted in it. */
const BLOBS_SHARE = 1 / 8;

/**
 * @param directory created if it is missing, removed in the end
 * @param isDisk `maxSize` is the free space that was found at the start, not an option: it may differ at another time
 */
export function createLayerCache(directory: string, maxSize: number, isDisk = false): LayerCache {
  /** Least recently used first. */
  const entries = new Map<string, Entry>();
  const semaphore = createSemaphore(maxSize);
  const removals = new Set<Promise<void>>();
  const stats: CacheStats = { hits: 0, misses: 0, evictions: 0, bytesRead: 0, bytes: 0, peakBytes: 0 };
  /** Bytes of files that are being removed. */
  let freeing = 0;
  let names = 0;
  let isClosed = false;

  /** Waits for room on scratch, then takes the images. FIFO, so large requests are not starved. */
  async function admission({ images, ownSize, signal }: LeaseRequest): Promise<ReadonlyMap<string, Entry>> {
    const unique = uniqueOf(images);
    const needed = new Set(unique.map(({ key }) => key));
    let taken: ReadonlyMap<string, Entry> = new Map();
    await semaphore.acquire({
      signal,
      weight: () => totalOf(unique.filter(({ key }) => !entries.has(key))) + ownSize,
      onShort: (lacking) => evict(lacking - freeing, needed),
      onAdmit() {
        stats.bytes = semaphore.used;
        stats.peakBytes = Math.max(stats.peakBytes, stats.bytes);
        taken = new Map(unique.map((image) => [image.key, take(image)]));
      },
    });
    return taken;
  }

  function evict(excess: number, needed: ReadonlySet<string>): void {
    for (const [key, entry] of entries) {
      if (excess <= 0) return;
      if (entry.users > 0 || needed.has(key)) continue;
      excess -= entry.size;
      stats.evictions++;
      drop(key, entry);
    }
  }

  function drop(key: string, entry: Entry): void {
    entries.delete(key);
    entry.stop.abort();
    freeing += entry.size;
    const removal = remove(entry).finally(() => removals.delete(removal));
    removals.add(removal);
  }

  /** Room is released only after the file has been removed. */
  async function remove({ path, size, stream }: Entry): Promise<void> {
    await Promise.allSettled([stream]);
    await rm(path, { force: true }).catch(() => {});
    freeing -= size;
    free(size);
  }

  function free(size: number): void {
    semaphore.release(size);
    stats.bytes = semaphore.used;
  }

  function take(image: CachedImage): Entry {
    const { key } = image;
    const known = entries.get(key);
    if (known) stats.hits++;
    else stats.misses++;
    const entry = known ?? begin(image);
    entry.users++;
    touch(key, entry);
    return entry;
  }

  function begin(image: CachedImage): Entry {
    const { key, size } = image;
    const path = join(directory, String(names++));
    const stop = new AbortController();
    const unpack = async () => {
      await mkdir(directory, { recursive: true });
      stop.signal.throwIfAborted();
      return image.unpack(path, stop.signal);
    };
    const stream = unpack();
    const entry: Entry = { path, size, stream, stop, users: 0, isReady: false };
    void settle(key, entry);
    return entry;
  }

  async function settle(key: string, entry: Entry): Promise<void> {
    try {
      await entry.stream;
      entry.isReady = true;
      stats.bytesRead += entry.size;
    } catch {
      // the next lease tries again
      if (entries.get(key) === entry) drop(key, entry);
    }
  }

  function touch(key: string, entry: Entry): void {
    entries.delete(key);
    entries.set(key, entry);
  }

  function giveBack(key: string, entry: Entry): void {
    entry.users--;
    if (entries.get(key) !== entry) return;
    if (entry.isReady) touch(key, entry);
    // no job waits for it
    else if (entry.users === 0) drop(key, entry);
  }

  /** Drops entries whose files have been removed by others. */
  async function refuseLost(taken: ReadonlyMap<string, Entry>): Promise<void> {
    for (const [key, entry] of taken) {
      if (await isThere(entry.path)) continue;
      if (entries.get(key) === entry) drop(key, entry);
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
    async lease(request) {
      const { images, ownSize, signal } = request;
      signal.throwIfAborted();
      if (isClosed) throw closed();
      const needed = totalOf(uniqueOf(images)) + ownSize;
      if (needed > maxSize) {
        const sizes = images.map(({ size }) => size).join(' and ');
        throw refusal(images.length > 0 ? `${needed} for ${sizes} bytes of layers` : needed);
      }
      const taken = await admission(request);
      const release = once(() => {
        for (const [key, entry] of taken) giveBack(key, entry);
        free(ownSize);
      });
      try {
        const streams = await raceAbort(Promise.all(images.map(({ key }) => taken.get(key)!.stream)), signal);
        await refuseLost(taken);
        return { streams, [Symbol.dispose]: release };
      } catch (error) {
        release();
        throw error;
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

function uniqueOf(images: readonly CachedImage[]): CachedImage[] {
  return [...new Map(images.map((image) => [image.key, image])).values()];
}

function totalOf(images: readonly CachedImage[]): number {
  return images.reduce((sum, { size }) => sum + size, 0);
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
