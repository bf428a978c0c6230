import type { KnownCompressions } from '../../lib/image/compression/known.ts';
import type { UnpackedImage } from '../../lib/delta/format.ts';
import type { Digest } from '../../lib/digest.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { withCompressions, type ImageRecord } from '../../lib/image/record.ts';
import { loadCompressions, storeCompressions } from '../../lib/store/compressions.ts';
import { findThread } from '../../lib/image/compression/threads.ts';
import type { StageContext } from '../context.ts';
import type { KnownImage } from '../resources/blobcache.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { runThread } from '../../lib/runtime/thread.ts';
import { loadSignature } from '../signature/stage.ts';

/** An image with the stored compressions of its layers. @throws PanamaxError `not-found`, `bad-input` */
export async function loadRecord(store: Store, manifest: Digest): Promise<ImageRecord> {
  return completed(store, (await loadSignature(store, manifest)).image);
}

/** Adds the stored compressions of its layers to a signature's image. */
export async function completed(store: Store, image: ImageRecord): Promise<ImageRecord> {
  return withKnown(image, await loadCompressions(store, digestsOf(image)));
}

function digestsOf({ layers }: ImageRecord): Digest[] {
  return layers.map(({ digest }) => digest);
}

function withKnown(record: ImageRecord, known: KnownCompressions): ImageRecord {
  return withCompressions(
    record,
    digestsOf(record).map((digest) => known.get(digest) ?? undefined),
  );
}

/** Images whose compressions a job of this process is finding. */
const finding = new Map<Digest, Promise<unknown>>();
/** Delay before the result of another process is looked for again, in milliseconds. */
const PATIENCE = 1000;

/**
 * An image with the compressions of its layers, as far as they can be found; from the store, or found now and stored.
 * Finding them takes several times as long as reading the image. It is done once for all jobs of this process, and of
 * other processes by `context.runExclusive`.
 *
 * @param scratch a directory for this job only
 * @param memory memory of the thread in bytes
 */
export async function findRecord(
  image: KnownImage,
  unpacked: Pick<UnpackedImage, 'record' | 'stream'>,
  { scratch, memory }: { readonly scratch: string; readonly memory: number },
  context: StageContext,
): Promise<ImageRecord> {
  const { store, signal, limits, runExclusive = runAlways } = context;
  const { record } = unpacked;
  const { manifest } = image;
  const digests = digestsOf(record);
  const find = async (known: KnownCompressions): Promise<KnownCompressions> => {
    const { blobs } = context.layers;
    await using kept = await blobs.lease(image, { limits, signal });
    const { reference } = kept;
    const task = { ...image, ...unpacked, reference, limits, scratch, blobs: blobs.directory, known };
    const found = await runThread(findThread, task, signal, memory);
    await storeCompressions(store, new Map([...found].filter(([digest]) => !known.has(digest))));
    return found;
  };
  for (;;) {
    let known = await loadCompressions(store, digests);
    if (isComplete(known, digests)) return withKnown(record, known);
    const other = finding.get(manifest);
    if (other) {
      // an error or abort of the other job does not fail this one
      await raceAbort(Promise.allSettled([other]), signal);
      continue;
    }
    const mine = runExclusive(`compressions.${manifest}`, async () => {
      // another process may have stored them meanwhile
      known = await loadCompressions(store, digests);
      if (!isComplete(known, digests)) known = await find(known);
    });
    finding.set(manifest, mine);
    if (await mine.finally(() => finding.delete(manifest))) return withKnown(record, known);
    await delay(PATIENCE, undefined, { signal });
  }
}

const isComplete = (known: KnownCompressions, digests: readonly Digest[]) =>
  digests.every((digest) => known.has(digest));

async function runAlways(_: string, action: () => Promise<void>): Promise<boolean> {
  await action();
  return true;
}
