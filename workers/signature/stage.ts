import type { Digest } from '../../lib/digest.ts';
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../../lib/errors.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { openImage, type Layer } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { imageSketchOf, type ImageSketch } from '../../lib/pairing/signature/imagesketch.ts';
import type { Outcome, StageContext } from '../context.ts';
import { JOB_MEMORY } from '../resources/memory.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import { signatureThread } from '../../lib/pairing/signature/threads.ts';
import { scratchError } from '../../lib/runtime/scratch.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { runThread } from '../../lib/runtime/thread.ts';
import { storeAttachments } from './attachments.ts';
import { findLayers, storeLayers } from './layers.ts';
import { findSignature } from './load.ts';
import { keptSize } from './reservation.ts';

export interface SignatureInput {
  readonly reference: string;
  readonly platform?: Platform;
}

export interface SignatureOutput {
  readonly manifest: Digest;
  /** Of the layers, compressed, in bytes. */
  readonly size: number;
}

/** Age after which a signature in use is written again, in milliseconds. */
const RENEWAL = 3600_000;

/** Reads the layers of an image that no image of the store has had, stores its signature, and puts it into the similarity index. */
export async function signatureStage(
  input: SignatureInput,
  context: StageContext,
): Promise<Outcome<SignatureOutput>> {
  const { store, limits, signal, layers } = context;
  const scratch = join(context.scratch, randomUUID());
  // checked while the directory exists
  const onScratch = async (error: unknown) => {
    throw await scratchError(error, [context.scratch, scratch]);
  };
  try {
    await mkdir(scratch);
    const { blobs } = layers;
    const options = { ...input, limits, scratch, blobs: blobs.directory, signal };
    const reference = await parseReference(input.reference);
    const image = await openImage(reference, options).catch(onScratch);
    const manifest = image.manifestDigest;
    const size = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    await storeAttachments(image, reference, context);
    const stored = await findSound(store, manifest);
    if (stored) {
      await renew(store, keys.signature(manifest));
      await addSketch(manifest, imageSketchOf(stored), context);
      return { status: 'skipped', manifest, size };
    }
    using _reserved = await context.memory.reserve(JOB_MEMORY.signature, signal);
    const known = await findLayers(store, image);
    const unread = known.flatMap(({ layer, isRead }) => (isRead ? [] : [layer.descriptor]));
    using _room = await layers.lease({ images: [], ownSize: keptSize(image, unread), signal });
    const isNeeded = (layer: Layer) => unread.some(({ digest }) => digest === layer.descriptor.digest);
    await using kept = await blobs.lease({ ...input, manifest }, { limits, signal, isNeeded });
    const task = {
      ...input,
      reference: kept.reference,
      limits,
      scratch,
      blobs: blobs.directory,
      summaries: known.map(({ summary }) => summary),
    };
    const result = await runThread(signatureThread, task, signal, JOB_MEMORY.signature).catch(onScratch);
    layers.noteRead(result.size);
    await storeLayers(store, image, result);
    await addSketch(result.manifest, Buffer.from(result.sketch), context);
    await store.put(keys.signature(result.manifest), result.bytes);
    context.log.info(
      { stage: 'signature', image: input.reference, manifest: result.manifest },
      'signature stored',
    );
    return { status: 'done', manifest: result.manifest, size };
  } catch (error) {
    throw await scratchError(error, [context.scratch]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function addSketch(
  manifest: Digest,
  sketch: ImageSketch,
  { store, similar }: StageContext,
): Promise<void> {
  const key = keys.sketch(manifest);
  if (!(await store.get(key))?.equals(sketch)) await store.put(key, sketch);
  await similar.add([{ manifest, sketch }]);
}

/** Writes an old object again, so that `gc` does not remove it during the run. */
async function renew(store: Store, key: string): Promise<void> {
  const info = await store.stat(key);
  if (!info || Date.now() - info.modified.getTime() < RENEWAL) return;
  const bytes = await store.get(key);
  if (bytes) await store.put(key, bytes);
}

/** Undefined if the signature is missing or damaged; then it is computed again. */
async function findSound(store: Store, manifest: Digest): Promise<Signature | undefined> {
  try {
    return await findSignature(store, manifest);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
