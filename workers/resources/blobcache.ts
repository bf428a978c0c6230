import type { Digest } from '../../lib/digest.ts';
import { readdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { keptName } from '../../lib/image/blobs.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage, type ImageOptions, type Layer } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { pinnedReference } from '../../lib/image/oci/registryname.ts';
import { statIfThere } from '../../lib/runtime/file.ts';
import { isThere } from '../../lib/runtime/scratch.ts';

/**
 * Blobs of registries on scratch, compressed as received, shared by the jobs of one process: a layer of many images is
 * fetched once. Blobs in use are kept; above `maxSize` the others are evicted, least recently used first.
 */
export interface BlobCache {
  /** For the option `blobs` of `openImage`: blobs in it are not fetched again. */
  readonly directory: string;
  /**
   * Keeps the blobs of an image until the lease is disposed of. Images outside registries are not cached.
   *
   * @throws PanamaxError as `openImage` does; `bad-input` if the name has moved to another image
   */
  lease(image: KnownImage, options: BlobLeaseOptions): Promise<BlobLease>;
}

export interface BlobLeaseOptions extends Pick<ImageOptions, 'limits'> {
  readonly signal: AbortSignal;
  /** Tells the layers whose blobs are needed. Default: all. */
  readonly isNeeded?: (layer: Layer) => boolean;
}

export interface KnownImage {
  readonly reference: string;
  readonly platform?: Platform;
  readonly manifest: Digest;
}

export interface BlobLease extends AsyncDisposable {
  /** Names the image; by digest if it is in a registry, so that the registry need not be asked again. */
  readonly reference: string;
}

/** @param directory created if it is missing */
export function createBlobCache(directory: string, maxSize: number): BlobCache {
  const users = new Map<string, number>();
  const coming = new Map<string, Promise<void>>();
  let last: Promise<unknown> = Promise.resolve();

  function use(names: Iterable<string>, count: 1 | -1): void {
    for (const name of names) {
      const left = (users.get(name) ?? 0) + count;
      if (left > 0) users.set(name, left);
      else users.delete(name);
    }
  }

  /** Fetches a blob by reading it, which stores it. A blob that is being fetched is waited for. */
  async function fetchOnce(name: string, { blob }: Pick<Layer, 'blob'>, signal: AbortSignal): Promise<void> {
    for (let known = coming.get(name); known; known = coming.get(name)) {
      // an error or abort of the other job does not fail this one
      if (await raceAbort(hasWorked(known), signal)) return;
    }
    const fetch = async () => {
      if (await isThere(join(directory, name))) return;
      for await (const _ of blob()) signal.throwIfAborted();
    };
    const fetched = fetch().finally(() => coming.delete(name));
    coming.set(name, fetched);
    await fetched;
  }

  async function evict(): Promise<void> {
    const files: { readonly path: string; readonly size: number; readonly used: number }[] = [];
    let size = 0;
    const names = await readdir(directory);
    for (const name of names.filter((name) => !name.endsWith('.part'))) {
      const info = await statIfThere(join(directory, name));
      if (!info) continue;
      size += info.size;
      if (!users.has(name)) files.push({ path: join(directory, name), size: info.size, used: info.mtimeMs });
    }
    for (const file of files.toSorted((a, b) => a.used - b.used)) {
      if (size <= maxSize) return;
      await rm(file.path, { force: true });
      size -= file.size;
    }
  }

  return {
    directory,
    async lease({ reference, manifest, ...wanted }, { limits, signal, isNeeded = () => true }) {
      const pinned = pinnedReference(reference, manifest);
      if (pinned === undefined) return { reference, [Symbol.asyncDispose]: async () => {} };
      const options = { ...wanted, limits, signal, blobs: directory };
      const { configDigest, layers } = await openImage(await parseReference(pinned), options);
      const byName = new Map(
        layers.filter(isNeeded).map((layer) => [keptName(layer.descriptor.digest), layer]),
      );
      const names = [keptName(manifest), keptName(configDigest), ...byName.keys()];
      use(names, 1);
      const lease = {
        reference: pinned,
        async [Symbol.asyncDispose]() {
          use(names, -1);
          // evictions run one after the other
          last = last.then(evict, evict);
          await last;
        },
      };
      try {
        const now = new Date();
        for (const name of names) await utimes(join(directory, name), now, now).catch(() => {});
        const fetched = [...byName].map(([name, layer]) => fetchOnce(name, layer, signal));
        // all fetches must have ended when this returns
        for (const result of await Promise.allSettled(fetched)) {
          if (result.status === 'rejected') throw result.reason;
        }
        return lease;
      } catch (error) {
        await lease[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

async function hasWorked(promise: Promise<void>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}
