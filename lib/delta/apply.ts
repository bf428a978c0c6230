import { xdeltaSource } from './formats/xdelta/apply.ts';
import { rebuildOnScratch } from './formats/ocidelta/apply.ts';
import { checkSize } from './source.ts';
import type { ApplyTask, ApplyContext } from './format.ts';
import { createReadStream } from 'node:fs';
import { streamSize, type ImageRecord } from '../image/record.ts';
import { writeImage } from '../image/write/writer.ts';
import { openPatch } from './patch.ts';
import { applyXdelta } from './formats/xdelta/read.ts';

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
