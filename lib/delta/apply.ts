import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { unpackImage } from '../oci/layerstream.ts';
import { platformOf, streamSize } from '../oci/record.ts';
import { parseReference } from '../oci/reference.ts';
import { writeImage, type Destination } from '../oci/writer.ts';
import { applyPatch, checkSource, readPatch } from './patch.ts';
import type { Recipe } from './recipe.ts';

export interface ApplyTask {
  /** Path of the patch. */
  readonly patch: string;
  /** Reference of the source image, or `stream:FILE` for its layer stream. */
  readonly source: string;
  readonly destination: Destination;
  /** Of the source; by default the target's. */
  readonly platform?: Platform;
}

export interface ApplyContext {
  /** A directory for the source's layer stream. */
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
export async function applyPatchFile(task: ApplyTask, context: ApplyContext): Promise<Recipe> {
  const { limits, signal } = context;
  const recipe = await readPatch(task.patch);
  if (streamSize(recipe.target) > limits.maxImageSize) {
    throw new PanamaxError('limit', 'target is over maxImageSize', {
      expected: `at most ${limits.maxImageSize} bytes uncompressed`,
      found: streamSize(recipe.target),
      where: task.patch,
    });
  }
  const source = task.source.startsWith('stream:')
    ? await sourceStream(recipe, task.source.slice('stream:'.length))
    : await sourceImage(recipe, task, context);
  await writeImage(recipe.target, applyPatch(task.patch, source, recipe, signal), task.destination);
  return recipe;
}

/** A bare layer stream has no manifest: its size tells gross errors at once, the patch's checksums the others. */
async function sourceStream(recipe: Recipe, path: string): Promise<string> {
  const expected = recipe.source.layers.reduce((sum, layer) => sum + layer.size, 0);
  const { size } = await stat(path);
  if (size === expected) return path;
  throw new PanamaxError('wrong-source', `not the layer stream of image ${recipe.source.config}`, {
    expected: `${expected} bytes`,
    found: `${size} bytes`,
    where: path,
  });
}

async function sourceImage(recipe: Recipe, task: ApplyTask, context: ApplyContext): Promise<string> {
  const { limits, signal } = context;
  // an index with several platforms at the source holds the target's, too
  const platform = task.platform ?? platformOf(recipe.target);
  const image = await openImage(await parseReference(task.source), { limits, ...(platform && { platform }) });
  const diffIDs = image.layers.map((layer) => layer.diffID);
  checkSource(recipe, diffIDs, task.source);
  const path = join(context.scratch, 'source');
  await unpackImage(image, path, limits, signal);
  return path;
}
