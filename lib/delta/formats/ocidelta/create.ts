import type { PatchTask } from '../../format.ts';
import { rootfsThread } from '../../../image/threads.ts';
import { runThread } from '../../../runtime/thread.ts';
import { encodeOciDelta } from './encode.ts';
import { verifyArtifact } from './verify.ts';

/** Writes an artifact and applies each of its tar-diffs; throws unless the results have the target's diffIDs. */
export async function createOciDelta(task: PatchTask): Promise<void> {
  const { source, target, limits, signal } = task;
  const sourceFiles =
    source.files ?? (await runThread(rootfsThread, { stream: source.stream, limits }, signal));
  const tarDiffs = await encodeOciDelta({
    ...task,
    sourceFiles,
    openBlob: (layer) => target.layers[layer]!.blob(),
  });
  await verifyArtifact(task.path, source, tarDiffs, limits, signal);
}
