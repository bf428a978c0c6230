import type { KnownCompressions } from '../../lib/image/compression/known.ts';
import type { PatchLayer, UnpackedImage } from '../../lib/delta/format.ts';
import { parseCompression, type Compression } from '../../lib/compression/recipe.ts';
import { digestOf, type Digest } from '../../lib/digest.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { withCompressions, type ImageRecord } from '../../lib/image/record.ts';
import { loadCompressions, storeCompressions } from '../../lib/store/compressions.ts';
import type { Layer } from '../../lib/image/open.ts';
import { findThread, proveThread } from '../../lib/image/compression/threads.ts';
import type { StageContext } from '../context.ts';
import type { KnownImage } from '../resources/blobcache.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { runThread } from '../../lib/runtime/thread.ts';
import { loadImage } from '../signature/load.ts';

/** An image with the stored compressions of its layers. @throws PanamaxError `not-found`, `bad-input` */
export async function loadRecord(store: Store, manifest: Digest): Promise<ImageRecord> {
  return completed(store, await loadImage(store, manifest));
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

/** Whether no recipe that a patch carries differs from the record of its layer. */
export async function areRecorded(layers: readonly PatchLayer[], store: Store): Promise<boolean> {
  const known = await loadCompressions(
    store,
    layers.map(({ digest }) => digest),
  );
  return layers.every(({ digest, compression }) => {
    const recorded = known.get(digest);
    return !compression || !recorded || digestOfRecipe(compression) === digestOfRecipe(recorded);
  });
}

/** Images whose compressions a job of this process is finding. */
const finding = new Map<Digest, Promise<unknown>>();
/** Recipes that have made their layer in this process: the digest of the recipe by that of the layer. */
const proven = new Map<Digest, Digest>();
/** Delay before the result of another process is looked for again, in milliseconds. */
const PATIENCE = 1000;

/** Identifies a recipe; the order of its fields does not count. */
function digestOfRecipe(compression: Compression): Digest {
  return digestOf(JSON.stringify(parseCompression(compression, 'recipe')));
}

function noteProven(known: KnownCompressions): void {
  for (const [layer, compression] of known) {
    if (compression) proven.set(layer, digestOfRecipe(compression));
  }
}

/** The recipes that this process has not applied to their layer yet. */
function unprovenOf(known: KnownCompressions): KnownCompressions {
  return new Map(
    [...known].filter(
      ([layer, compression]) => compression && proven.get(layer) !== digestOfRecipe(compression),
    ),
  );
}

/**
 * An image with the compressions of its layers, as far as they can be found; from the store, or found now and stored.
 * Finding them takes several times as long as reading the image. It is done once for all jobs of this process, and of
 * other processes by `context.runExclusive`.
 *
 * A stored recipe is applied to its layer before this process uses it for the first time, because sites refuse a patch
 * with a wrong one. A wrong record is replaced.
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
  const { store, signal, limits, log, runExclusive = runAlways } = context;
  const { record } = unpacked;
  const { manifest } = image;
  const digests = digestsOf(record);
  const isUsable = (known: KnownCompressions) =>
    digests.every((digest) => known.has(digest)) && unprovenOf(known).size === 0;

  /** Stored compressions without those that are wrong. */
  const rightOf = async (stored: KnownCompressions): Promise<KnownCompressions> => {
    const unproven = unprovenOf(stored);
    if (unproven.size === 0) return stored;
    const wrong = await runThread(proveThread, { ...unpacked, known: unproven }, signal, memory);
    for (const layer of wrong) log.warn({ stage: 'delta', layer }, 'stored compression is wrong');
    const right = new Map([...stored].filter(([digest]) => !wrong.includes(digest)));
    noteProven(right);
    return right;
  };
  const find = async (known: KnownCompressions): Promise<KnownCompressions> => {
    const { blobs } = context.layers;
    const isNeeded = ({ descriptor }: Layer) => !known.has(descriptor.digest);
    await using kept = await blobs.lease(image, { limits, signal, isNeeded });
    const { reference } = kept;
    const task = { ...image, ...unpacked, reference, limits, scratch, blobs: blobs.directory, known };
    const found = await runThread(findThread, task, signal, memory);
    noteProven(found);
    await storeCompressions(store, new Map([...found].filter(([digest]) => !known.has(digest))));
    return found;
  };
  /** Undefined while another process finds them. */
  const loadOrFind = async (stored: KnownCompressions): Promise<KnownCompressions | undefined> => {
    let known = await rightOf(stored);
    if (isUsable(known)) return known;
    const isDone = await runExclusive(`compressions.${manifest}`, async () => {
      // another process may have stored them meanwhile
      known = await rightOf(await loadCompressions(store, digests));
      if (!isUsable(known)) known = await find(known);
    });
    return isDone ? known : undefined;
  };

  for (;;) {
    const known = await loadCompressions(store, digests);
    if (isUsable(known)) return withKnown(record, known);
    const other = finding.get(manifest);
    if (other) {
      // an error or abort of the other job does not fail this one
      await raceAbort(Promise.allSettled([other]), signal);
      continue;
    }
    const mine = loadOrFind(known);
    finding.set(manifest, mine);
    const found = await mine.finally(() => finding.delete(manifest));
    if (found) return withKnown(record, found);
    await delay(PATIENCE, undefined, { signal });
  }
}

async function runAlways(_: string, action: () => Promise<void>): Promise<boolean> {
  await action();
  return true;
}
