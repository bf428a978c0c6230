import type { DeltaTask } from '../../lib/delta/task.ts';
import type { FormatName } from '../../lib/delta/format.ts';
import { formatNamed } from '../../lib/delta/formats.ts';
import type { Digest } from '../../lib/digest.ts';
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { EFFORTS, type Effort } from '../../lib/delta/align/alignment.ts';
import {
  imageIdentity,
  parsePatchDescriptor,
  serializePatchDescriptor,
  signDescriptor,
  sourceIdentity,
  type PatchDescriptor,
} from '../../lib/store/descriptor.ts';
import { isEngineTransport } from '../../lib/image/oci/transport.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { verified } from '../../lib/image/blobs.ts';
import { tooLarge } from '../../lib/image/expansion.ts';
import { combineDigests, combineRecords } from '../../lib/image/combined.ts';
import type { Platform } from '../../lib/image/oci/descriptor.ts';
import { splitTransport } from '../../lib/image/oci/reference.ts';
import { pullSize, streamSize, type ImageRecord } from '../../lib/image/record.ts';
import type { Layer } from '../../lib/image/open.ts';
import type { UnpackedPart, UnpackTask } from '../../lib/image/unpackthread.ts';
import { pinnedReference } from '../../lib/image/oci/registryname.ts';
import type { Outcome, StageContext } from '../context.ts';
import type { CachedImage } from '../resources/layercache.ts';
import { deltaMemory } from '../resources/memory.ts';
import type { PatchOutcome } from '../../lib/run/schemas.ts';
import { indexHead, writeIndex } from '../../lib/store/targetindex.ts';
import { scratchError } from '../../lib/runtime/scratch.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { openPatch } from '../../lib/delta/patch.ts';
import { deltaThread } from '../../lib/delta/threads.ts';
import { writeChunks } from '../../lib/runtime/file.ts';
import { unpackThread } from '../../lib/image/threads.ts';
import { runThread } from '../../lib/runtime/thread.ts';
import { areRecorded, completed, findRecord } from './compressions.ts';
import { withRecords } from './records.ts';

export interface DeltaInput {
  /** One image, or several as one source. */
  readonly sources: readonly DeltaImage[];
  readonly target: DeltaImage;
  readonly formats: readonly FormatName[];
  readonly effort: Effort;
  readonly predictedPatchSize: number;
}

export interface DeltaImage {
  readonly manifest: Digest;
  readonly reference: string;
  readonly platform?: Platform;
}

export interface DeltaOutput {
  /** One for each format. */
  readonly patches: readonly PatchOutcome[];
}

/**
 * Makes the patches of a pair, applies them, and publishes patch, descriptor and index in this order, so that every
 * object that is named exists. If a pull moves no more than a patch, the descriptor records that instead.
 */
export function deltaStage(input: DeltaInput, context: StageContext): Promise<Outcome<DeltaOutput>> {
  return withRecords(context.store, [input.target.manifest], ([target]) =>
    publishMissing(input, target!, context),
  );
}

async function publishMissing(
  input: DeltaInput,
  target: ImageRecord,
  context: StageContext,
): Promise<Outcome<DeltaOutput>> {
  const { store } = context;
  const known: PatchOutcome[] = [];
  const missing: FormatName[] = [];
  const formats = input.formats.filter(
    (format) => input.sources.length === 1 || formatNamed(format).traits.combinesSources,
  );
  for (const format of formats) {
    const descriptor = await findPublished(input, format, context);
    if (descriptor) known.push({ descriptor: await signPublished(descriptor, context) });
    else missing.push(format);
  }
  if (missing.length === 0) {
    await writeIndex(store, indexHead(await completed(store, target)));
    return { status: 'skipped', patches: known };
  }
  const sources = input.sources.map(({ manifest }) => manifest);
  const { record, outcomes } = await withRecords(store, sources, (records) =>
    makePatches(input, records, target, missing, context),
  );
  await writeIndex(store, indexHead(record));
  return { status: 'done', patches: [...known, ...outcomes] };
}

/** Patches that were made, and their target with the compressions that they carry. */
interface Made {
  readonly record: ImageRecord;
  readonly outcomes: readonly PatchOutcome[];
}

async function makePatches(
  input: DeltaInput,
  records: readonly ImageRecord[],
  target: ImageRecord,
  formats: readonly FormatName[],
  context: StageContext,
): Promise<Made> {
  const { store, limits, signal, log, layers } = context;
  const { blobs } = layers;
  const source = combineRecords(records);
  for (const image of [source, target]) {
    if (streamSize(image) > limits.maxImageSize) throw tooLarge(limits.maxImageSize, image.manifest);
  }
  const memory = deltaMemory(streamSize(source) + streamSize(target), input.effort);
  using _reserved = await context.memory.reserve(memory, signal);
  using lease = await layers.lease({
    images: [cachedImage(records, input.sources, context), cachedImage([target], [input.target], context)],
    ownSize:
      patchRoom(target, formats) + exportRoom(input.sources, records) + exportRoom([input.target], [target]),
    signal,
  });
  const [sourceStream, targetStream] = lease.streams;
  const scratch = join(context.scratch, randomUUID());
  try {
    await mkdir(scratch);
    const record = await findRecord(
      input.target,
      { record: target, stream: targetStream! },
      { scratch, memory },
      context,
    );
    const task: DeltaTask = {
      source: { ...input.sources[0]!, unpacked: { record: source, stream: sourceStream! } },
      target: {
        ...input.target,
        reference: pinnedReference(input.target.reference, target.manifest) ?? input.target.reference,
        blobs: blobs.directory,
        unpacked: { record, stream: targetStream! },
      },
      formats,
      effort: input.effort,
      limits,
      scratch,
    };
    const { patches } = await runThread(deltaThread, task, signal, memory);
    // an image as its own source is for sites that have its layers, but not the compressed ones
    const isItself = source.manifest === target.manifest;
    const pull = pullSize(target, isItself ? undefined : source);
    const outcomes: PatchOutcome[] = [];
    for (const { format, path, size, digest, encodeSeconds } of patches) {
      const made: PatchDescriptor = {
        format,
        effort: input.effort,
        source: sourceIdentity(
          source,
          records.map(({ manifest }) => manifest),
        ),
        target: imageIdentity(target),
        ...(size < pull ? { patch: { size, digest } } : {}),
        sizes: { predicted: input.predictedPatchSize, actual: size, pull },
      };
      const descriptor = signDescriptor(made, context.sign);
      if (descriptor.patch) await store.putFile(keys.patch(target.manifest, source.manifest, format), path);
      await putDescriptor(descriptor, store);
      log.info({ stage: 'delta', ...descriptor }, descriptor.patch ? 'patch published' : 'pull is as good');
      outcomes.push({ descriptor, encodeSeconds });
    }
    return { record, outcomes };
  } catch (error) {
    const layerPaths = lease.streams.flatMap(({ parts }) => parts.map(({ path }) => path));
    throw await scratchError(error, [context.scratch, scratch, ...layerPaths]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** An image, or several as one source, for the cache. Only the blobs of layers that are missing there are fetched. */
function cachedImage(
  records: readonly ImageRecord[],
  images: readonly DeltaImage[],
  { layers, limits }: StageContext,
): CachedImage {
  const { manifest, layers: all } = combineRecords(records);
  return {
    key: manifest,
    layers: all,
    async unpack(missing, onLayer, signal) {
      await using leases = new AsyncDisposableStack();
      const parts: UnpackedPart[] = [];
      const left = new Map(missing.map((layer) => [layer.diffID, layer]));
      for (const [i, image] of images.entries()) {
        const own = new Set(records[i]!.layers.map(({ diffID }) => diffID));
        const wanted = [...left.values()].filter(({ diffID }) => own.has(diffID));
        if (wanted.length === 0) continue;
        for (const { diffID } of wanted) left.delete(diffID);
        const isNeeded = ({ diffID }: Layer) => wanted.some((layer) => layer.diffID === diffID);
        const { reference } = leases.use(await layers.blobs.lease(image, { limits, signal, isNeeded }));
        parts.push({ ...image, reference, layers: wanted });
      }
      const task: UnpackTask = { images: parts, blobs: layers.blobs.directory, limits };
      await runThread(unpackThread, task, signal, undefined, onLayer);
    },
  };
}

/** Scratch space that making patches takes at most, in bytes. */
function patchRoom(target: ImageRecord, formats: readonly FormatName[]): number {
  const factors = formats.map((format) => formatNamed(format).traits.createScratch);
  return streamSize(target) * factors.reduce((sum, factor) => sum + factor, 0);
}

/** Scratch space for exports of engines while their images are unpacked, in bytes. */
function exportRoom(images: readonly DeltaImage[], records: readonly ImageRecord[]): number {
  return images.reduce((sum, { reference }, i) => {
    const isExport = isEngineTransport(splitTransport(reference)?.transport ?? '');
    return sum + (isExport ? streamSize(records[i]!) : 0);
  }, 0);
}

async function putDescriptor(descriptor: PatchDescriptor, store: Store): Promise<void> {
  const { target, source, format } = descriptor;
  await store.put(
    keys.descriptor(target.manifest, source.manifest, format),
    serializePatchDescriptor(descriptor),
  );
}

/** Signs the descriptor of a patch that was published without a key or with another one. */
async function signPublished(
  descriptor: PatchDescriptor,
  { sign, store }: Pick<StageContext, 'sign' | 'store'>,
): Promise<PatchDescriptor> {
  const signed = signDescriptor(descriptor, sign);
  if (isDeepStrictEqual(signed, descriptor)) return descriptor;
  await putDescriptor(signed, store);
  return signed;
}

/**
 * The stored descriptor of a pair, if it was made with at least this effort, its patch verifies, and the patch carries
 * the recipes of the compression records. Where they differ, one of them is wrong: making the patch again tells which.
 */
async function findPublished(
  { sources, target, effort }: DeltaInput,
  format: FormatName,
  { store, scratch, limits }: Pick<StageContext, 'store' | 'scratch' | 'limits'>,
): Promise<PatchDescriptor | undefined> {
  const source = combineDigests(sources.map(({ manifest }) => manifest));
  const key = keys.descriptor(target.manifest, source, format);
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  const path = join(scratch, `published-${randomUUID()}`);
  try {
    const descriptor = parsePatchDescriptor(bytes, `${store.where} ${key}`);
    const isOfPair =
      descriptor.format === format &&
      descriptor.source.manifest === source &&
      descriptor.target.manifest === target.manifest &&
      EFFORTS.indexOf(descriptor.effort) >= EFFORTS.indexOf(effort);
    if (!isOfPair) return undefined;
    const { patch } = descriptor;
    if (!patch) return descriptor;
    const patchKey = keys.patch(target.manifest, source, format);
    const where = `${store.where} ${patchKey}`;
    await writeChunks(path, verified(await store.open(patchKey), patch, where));
    const { layers } = await openPatch(path, limits);
    return (await areRecorded(layers, store)) ? descriptor : undefined;
  } catch (error) {
    // damaged or gone: the patch is made again
    if (error instanceof PanamaxError && /^(bad-input|bad-patch|not-found)$/.test(error.kind))
      return undefined;
    throw error;
  } finally {
    await rm(path, { force: true });
  }
}
