import type { PatchTask } from '../../format.ts';
import { writing } from '../../../runtime/file.ts';
import { createOpenFiles } from '../../../runtime/space.ts';
import { verifyStream } from '../../../image/write/rebuilt.ts';
import { streamSize } from '../../../image/record.ts';
import { alignInThread } from '../../align/align.ts';
import { serializeRecipe, sourceRecord, type Recipe } from '../../recipe.ts';
import { decodeVcdiff } from './vcdiff/decode/decode.ts';
import { encodeVcdiff } from './vcdiff/encode/encode.ts';
import { blockingAccess } from '../../randomaccess.ts';
import { readXdelta } from './read.ts';

/**
 * Writes a patch and applies it while it is written; throws unless the result has the target's diffIDs. While one
 * window is applied, threads compress the following ones.
 */
export async function createXdelta(task: PatchTask): Promise<void> {
  const { source, target, path, effort, signal } = task;
  const abort = signal && { signal };
  const alignments = await alignInThread(source, target, { effort, ...abort });
  const recipe: Recipe = {
    source: sourceRecord(source.record),
    target: (await task.record) ?? target.record,
  };
  using files = createOpenFiles();
  const access = blockingAccess(files.space(source.stream.parts));
  const patch = encodeVcdiff({
    source: access,
    target: blockingAccess(files.space(target.stream.parts)),
    alignments,
    appHeader: Buffer.from(serializeRecipe(recipe)),
    effort,
    ...abort,
  });
  const options = { maxTargetSize: streamSize(target.record), ...abort };
  await verifyStream(target.record, decodeVcdiff(writing(path, patch), access, options));
  await readXdelta(path);
}
