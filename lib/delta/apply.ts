import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../errors.ts';
import { writeAll } from '../runtime/file.ts';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../image/oci/descriptor.ts';
import { openImage, type Image, type Layer } from '../image/open.ts';
import { unpackImage } from '../image/layerstream.ts';
import { imageRecord, platformOf, streamSize, type ImageRecord } from '../image/record.ts';
import { listRootfsFiles } from '../image/rootfsfiles.ts';
import { parseReference } from '../image/oci/reference.ts';
import { writeImage, type Destination } from '../image/write/writer.ts';
import type { OciDelta } from './formats/ocidelta/read.ts';
import { rebuildLayers } from './formats/ocidelta/rebuild.ts';
import { openRebuildSource } from './formats/ocidelta/source.ts';
import { openPatch } from './patch.ts';
import type { Recipe } from './recipe.ts';
import { applyXdelta } from './formats/xdelta/read.ts';

export interface ApplyTask {
  /** Path of the patch. */
  readonly patch: string;
  /**
   * References of images that have the source's layers between them, or `stream:FILE` for its layer stream. An oci-delta
   * takes the very image it was made from, alone.
   */
  readonly sources: readonly string[];
  readonly destination: Destination;
  /** Layers uncompressed, and a manifest of its own, also where the target's could be kept. */
  readonly isPlain?: boolean;
  /** Of the source; by default the target's. */
  readonly platform?: Platform;
}

export interface ApplyContext {
  /** A directory for layer streams. */
  readonly scratch: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/**
 * Rebuilds the target of a patch. The source is checked before anything is written, the target on the way; under
 * the destination's name stands all of the image or nothing.
 *
 * @throws PanamaxError `wrong-source`, `bad-patch`, `bad-input`, `limit`, `io`
 */
export async function applyPatchFile(task: ApplyTask, context: ApplyContext): Promise<ImageRecord> {
  const patch = await openPatch(task.patch, context.limits);
  if (patch.format === 'xdelta') {
    const { target } = patch.recipe;
    checkSize(streamSize(target), context.limits, task.patch);
    const source = await xdeltaSource(patch.recipe, task, context);
    const stream = applyXdelta(task.patch, source, patch.recipe, context.signal);
    await writeImage(target, stream, task.destination, { ...task, ...context });
    return target;
  }
  const { path, record } = await rebuildOnScratch(patch.delta, task, context);
  await writeImage(record, createReadStream(path, { highWaterMark: 128 * 1024 }), task.destination, {
    ...task,
    ...context,
  });
  return record;
}

/** The layer stream of the source, which has to have the very layers that the patch was made from. */
async function xdeltaSource(recipe: Recipe, task: ApplyTask, context: ApplyContext): Promise<string> {
  const stream = streamOf(task);
  if (stream !== undefined) {
    await checkStream(recipe, stream, context.signal);
    return stream;
  }
  const images: Image[] = [];
  for (const source of task.sources) {
    images.push(await openSource(source, task, platformOf(recipe.target), context));
  }
  const layers = findLayers(recipe.source, images);
  const path = join(context.scratch, 'source');
  await unpackImage({ reference: task.sources.join(', '), layers }, path, context.limits, context.signal);
  return path;
}

function streamOf({ sources }: ApplyTask): string | undefined {
  const stream = sources.find((source) => source.startsWith('stream:'));
  if (stream === undefined || sources.length === 1) return stream?.slice('stream:'.length);
  throw new PanamaxError('usage', 'a layer stream goes with no other source', { found: sources.join(', ') });
}

/** The layers that a patch was made from, whichever of the images has them. */
function findLayers(source: Recipe['source'], images: readonly Image[]): Layer[] {
  const byDiffID = new Map(images.flatMap(({ layers }) => layers.map((layer) => [layer.diffID, layer])));
  return source.layers.map(({ diffID }, at) => {
    const layer = byDiffID.get(diffID);
    if (layer) return layer;
    const [only, ...others] = images;
    const found = others.length === 0 ? only?.layers[at]?.diffID : undefined;
    const where = images.map(({ reference }) => reference).join(', ');
    throw wrongSource(source.config, `layer ${at} ${diffID}`, found ?? 'none', where);
  });
}

/** A bare layer stream has no manifest: its layers are hashed where the patch's source has them. */
async function checkStream({ source }: Recipe, path: string, signal: AbortSignal): Promise<void> {
  const expected = source.layers.reduce((sum, layer) => sum + layer.size, 0);
  const { size } = await stat(path);
  if (size !== expected) throw wrongSource(source.config, `${expected} bytes`, `${size} bytes`, path);
  let start = 0;
  for (const layer of source.layers) {
    const end = start + layer.size;
    const hash = createHash('sha256');
    const pieces = layer.size > 0 ? createReadStream(path, { start, end: end - 1 }) : [];
    for await (const piece of pieces) {
      signal.throwIfAborted();
      hash.update(piece as Buffer);
    }
    const found = `sha256:${hash.digest('hex')}`;
    if (found !== layer.diffID) throw wrongSource(source.config, `layer ${layer.diffID}`, found, path);
    start = end;
  }
}

/** An oci-delta does not say how large its layers are, so they are rebuilt before an image is written of them. */
async function rebuildOnScratch(
  delta: OciDelta,
  task: ApplyTask,
  { limits, scratch, signal }: ApplyContext,
): Promise<{ path: string; record: ImageRecord }> {
  const [reference] = task.sources;
  if (reference === undefined || task.sources.length > 1 || reference.startsWith('stream:')) {
    throw new PanamaxError('usage', 'an oci-delta needs the source as an image', {
      found: task.sources.join(', '),
    });
  }
  const image = await openSource(reference, task, platformOf(delta.target), { limits, scratch, signal });
  if (image.configDigest !== delta.source.config) {
    throw wrongSource(delta.source.config, delta.source.config, image.configDigest, reference);
  }
  const stream = await unpackImage(image, join(scratch, 'source'), limits, signal);
  const files = await listRootfsFiles(stream, limits);
  await using source = await openRebuildSource(stream, image.layers, files);
  const path = join(scratch, 'target');
  const sizes: number[] = [];
  await using file = await open(path, 'wx');
  for await (const { tar } of rebuildLayers(delta, source, { maxSize: limits.maxImageSize, signal })) {
    let size = 0;
    for await (const piece of tar) {
      await writeAll(file, piece);
      size += piece.length;
    }
    sizes.push(size);
  }
  const { manifest, manifestDocument, config, configDocument } = delta.target;
  const documents = {
    manifestDigest: manifest,
    manifestBytes: manifestDocument,
    configDigest: config,
    configBytes: configDocument,
  };
  const compressions = delta.layers.map(({ compression }) => compression);
  return { path, record: imageRecord(documents, sizes, undefined, compressions) };
}

/** An index with several platforms at the source holds the target's, too. */
async function openSource(
  source: string,
  task: ApplyTask,
  target: Platform | undefined,
  context: ApplyContext,
): Promise<Image> {
  const platform = task.platform ?? target;
  return openImage(await parseReference(source), { ...context, ...(platform && { platform }) });
}

function checkSize(size: number, limits: Limits, where: string): void {
  if (size <= limits.maxImageSize) return;
  throw new PanamaxError('limit', 'target is over maxImageSize', {
    expected: `at most ${limits.maxImageSize} bytes uncompressed`,
    found: size,
    where,
  });
}

function wrongSource(config: Digest, expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('wrong-source', `not the source of this patch, which is image ${config}`, {
    expected,
    found,
    where,
  });
}
