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

/** An image with what the store knows of how its layers were compressed. @throws PanamaxError `not-found`, `bad-input` */
export async function loadRecord(store: Store, manifest: Digest): Promise<ImageRecord> {
  return completed(store, (await loadSignature(store, manifest)).image);
}

/** A signature's image with what the store knows of how its layers were compressed. */
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

/** What jobs of this process are at work on. */
const finding = new Map<Digest, Promise<unknown>>();
/** What another process is at work on is looked for again after so many milliseconds. */
const PATIENCE = 1000;

/**
 * An image with how its layers were compressed, as far as that can be told, out of the store or found now and stored. Takes
 * several times as long as to read the image, once for all jobs of this process, and of others that `context.runExclusive` knows.
 *
 * @param scratch a directory of the job's own
 * @param memory in bytes, for the thread
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
      // what has stopped another job does not stop this one
      await raceAbort(Promise.allSettled([other]), signal);
      continue;
    }
    const mine = runExclusive(`compressions.${manifest}`, async () => {
      // another may have been at the end of it
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
