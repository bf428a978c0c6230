import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackImage } from '../image/layerstream.ts';
import type { Image, Layer } from '../image/open.ts';
import { platformOf } from '../image/record.ts';
import type { ApplyContext, SourceTask } from './format.ts';
import type { Recipe } from './recipe.ts';
import { openSource, streamOf, wrongSource } from './source.ts';

/** Path of the source's layer stream, which has the very layers that the patch was made from. */
export async function sourceStream(recipe: Recipe, task: SourceTask, context: ApplyContext): Promise<string> {
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

/** The layers that a patch was made from, each from the first image that has it. */
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

/** A bare layer stream has no manifest: each layer is hashed where the patch's source has it. */
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
