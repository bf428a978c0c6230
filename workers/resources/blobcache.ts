import type { Digest } from '../../lib/digest.ts';
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { keptName } from '../../lib/image/blobs.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage, type ImageOptions, type Layer } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { pinnedReference } from '../../lib/image/oci/registryname.ts';
import { isThere } from '../../lib/runtime/scratch.ts';

/**
 * What registries have sent, compressed as it came, on scratch and shared by the jobs of one process: a layer that many
 * images have is fetched once. What is in use stays; the rest goes least recently used first where it is over `maxSize`.
 */
export interface BlobCache {
  /** For `blobs` of `openImage`: what is there is not asked for again. */
  readonly directory: string;
  /**
   * Has all of an image there until the lease is disposed of. Of images that are not in a registry nothing is kept.
   *
   * @throws PanamaxError as `openImage` does, and `bad-input` where the name stands for another image by now
   */
  lease(
    image: KnownImage,
    options: Pick<ImageOptions, 'limits'> & { signal: AbortSignal },
  ): Promise<BlobLease>;
}

export interface KnownImage {
  readonly reference: string;
  readonly platform?: Platform;
  readonly manifest: Digest;
}

export interface BlobLease extends AsyncDisposable {
  /** Names the image, by its digest where it is in a registry: nothing has to be asked there any more. */
  readonly reference: string;
}

/** @param directory made where it is missing */
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

  /** Reading is what keeps. Who asks for what is on its way waits for it. */
  async function fetchOnce(name: string, { blob }: Pick<Layer, 'blob'>, signal: AbortSignal): Promise<void> {
    for (let known = coming.get(name); known; known = coming.get(name)) {
      // what has stopped another job does not stop this one
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
      const info = await stat(join(directory, name)).catch(() => undefined);
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
    async lease({ reference, manifest, ...wanted }, { limits, signal }) {
      const pinned = pinnedReference(reference, manifest);
      if (pinned === undefined) return { reference, [Symbol.asyncDispose]: async () => {} };
      const options = { ...wanted, limits, signal, blobs: directory };
      const { configDigest, layers } = await openImage(await parseReference(pinned), options);
      const byName = new Map(layers.map((layer) => [keptName(layer.descriptor.digest), layer]));
      const names = [keptName(manifest), keptName(configDigest), ...byName.keys()];
      use(names, 1);
      const lease = {
        reference: pinned,
        async [Symbol.asyncDispose]() {
          use(names, -1);
          // one at a time
          last = last.then(evict, evict);
          await last;
        },
      };
      try {
        const now = new Date();
        for (const name of names) await utimes(join(directory, name), now, now).catch(() => {});
        const fetched = [...byName].map(([name, layer]) => fetchOnce(name, layer, signal));
        // none may still be at work when this returns
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
