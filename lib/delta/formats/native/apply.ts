import { streamSize } from '../../../image/record.ts';
import type { ApplyContext, RebuiltImage, SourceTask } from '../../format.ts';
import { sourceStream } from '../../layersource.ts';
import type { Recipe } from '../../recipe.ts';
import { checkSize } from '../../source.ts';
import { applyNative } from './read.ts';

/** Checks the source and yields the target's layer stream. */
export async function rebuildNative(
  path: string,
  recipe: Recipe,
  task: SourceTask,
  context: ApplyContext,
  arriving?: () => AsyncIterable<Uint8Array>,
): Promise<RebuiltImage> {
  checkSize(streamSize(recipe.target), context.limits, path);
  const source = await sourceStream(recipe, task, context);
  const stream = applyNative(path, source, recipe, context.scratch, context.signal, arriving);
  return { record: recipe.target, stream };
}
