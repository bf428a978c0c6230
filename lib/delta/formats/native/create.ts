import { writing } from '../../../runtime/file.ts';
import { streamSize } from '../../../image/record.ts';
import { verifyStream } from '../../../image/write/rebuilt.ts';
import type { PatchTask } from '../../format.ts';
import { recipeDocument, sourceRecord, type Recipe } from '../../recipe.ts';
import { decodeNative } from './decode.ts';
import { encodeNative } from './encode.ts';
import { planInThread } from './planner.ts';
import { readNative } from './read.ts';

/** The `panamax` format: each byte of the target is predicted from the source, and only differences are written. */

/**
 * Writes a patch and applies it as it is written: the result has the target's diffIDs, or this throws.
 *
 * @throws PanamaxError
 */
export async function createNative(task: PatchTask): Promise<void> {
  const { source, target, path, scratch, effort, signal } = task;
  const abort = signal && { signal };
  const planned = await planInThread(source, target, { scratch, effort, ...abort });
  const recipe = recipeOf(task);
  // awaited by the encoder
  recipe.catch(() => undefined);
  const patch = encodeNative({
    ...planned,
    recipe,
    target: target.stream.parts,
    effort,
    ...abort,
  });
  const stream = decodeNative(writing(path, patch), {
    source: source.stream.parts,
    targetSize: streamSize(target.record),
    scratch,
    ...abort,
  });
  await verifyStream(target.record, stream);
  await readNative(path);
}

/** JSON. */
async function recipeOf({ source, target, record }: PatchTask): Promise<Buffer> {
  const recipe: Recipe = { source: sourceRecord(source.record), target: (await record) ?? target.record };
  return Buffer.from(recipeDocument(recipe));
}
