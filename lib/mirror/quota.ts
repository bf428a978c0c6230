import type { Digest } from '../digest.ts';
import type { Context } from './context.ts';
import type { HeldManifest } from './records.ts';

/** Time between two looks at the size of the cache, in milliseconds. */
const LOOK_EVERY = 5000;

/**
 * Keeps the blobs of a mirror below its quota: images that were not asked for the longest time are removed first, never
 * the newest one of a repository. Looks now and then; between two looks the quota may be exceeded.
 *
 * @param isComing whether the blobs of a manifest are being brought now
 */
export function keepQuota(context: Context, isComing: (manifest: Digest) => boolean): Disposable {
  const { quota, log, cache } = context;
  if (quota === undefined) return { [Symbol.dispose]() {} };
  let isBusy = false;
  let isTold = false;
  const look = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const removed = await removeOver(quota, context, isComing);
      for (const { repository, digest } of removed)
        log.info({ name: `${repository}@${digest}` }, 'image removed');
      const bytes = sizeOf(cache.held);
      if (bytes > quota && !isTold) log.warn({ bytes, quota }, 'the newest images alone exceed the quota');
      isTold = bytes > quota;
    } finally {
      isBusy = false;
    }
  };
  const report = (error: unknown) => log.warn({ reason: String(error) }, 'blobs cannot be removed');
  const timer = setInterval(() => void look().catch(report), LOOK_EVERY).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Removes blobs until the rest fits, or nothing more may go. @returns the images that were removed */
export async function removeOver(
  quota: number,
  { cache, records }: Pick<Context, 'cache' | 'records'>,
  isComing: (manifest: Digest) => boolean,
): Promise<HeldManifest[]> {
  const removed: HeldManifest[] = [];
  if (sizeOf(cache.held) <= quota) return removed;
  await removeUnnamed();
  const newest = newestOf(records.manifests.values());
  const oldestFirst = [...records.manifests.values()]
    .filter((manifest) => !newest.has(manifest.digest) && !isComing(manifest.digest))
    .sort((a, b) => a.served - b.served);
  for (const manifest of oldestFirst) {
    if (sizeOf(cache.held) <= quota) break;
    await records.removeManifest(manifest.digest);
    removed.push(manifest);
    await removeUnnamed();
  }
  return removed;

  /** Removes blobs that no manifest names. */
  async function removeUnnamed(): Promise<void> {
    const named = new Set<Digest>(records.manifests.keys());
    for (const { blobs } of records.manifests.values()) for (const { digest } of blobs) named.add(digest);
    for (const digest of cache.held.keys()) if (!named.has(digest)) await cache.remove(digest);
  }
}

/** The newest image and the newest index of each repository. */
function newestOf(manifests: Iterable<HeldManifest>): ReadonlySet<Digest> {
  const newest = new Map<string, HeldManifest>();
  for (const manifest of manifests) {
    const key = `${manifest.children.length > 0 ? 'index' : 'image'} ${manifest.repository}`;
    const known = newest.get(key);
    if (!known || known.added <= manifest.added) newest.set(key, manifest);
  }
  return new Set(newest.values().map(({ digest }) => digest));
}

export function sizeOf(held: ReadonlyMap<Digest, number>): number {
  return held.values().reduce((sum, size) => sum + size, 0);
}
