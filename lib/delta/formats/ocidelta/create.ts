import type { PatchTask } from '../../format.ts';
import type { RootfsFiles } from '../../../image/rootfsfiles.ts';
import type { RootfsTask } from '../../../image/rootfsthread.ts';
import { runThread, threadModule } from '../../../runtime/thread.ts';
import { encodeOciDelta } from './encode.ts';
import { verifyArtifact } from './verify.ts';

/** Writes an artifact of which each tar-diff has been applied: what comes out has the target's diffIDs, or this throws. */
export async function createOciDelta(task: PatchTask): Promise<void> {
  const { source, target, limits, signal } = task;
  const listing: RootfsTask = { stream: source.stream, limits };
  const module = threadModule('../../../image/rootfsthread', import.meta.url);
  const sourceFiles = await runThread<RootfsTask, RootfsFiles>(module, listing, signal);
  const tarDiffs = await encodeOciDelta({
    ...task,
    sourceFiles,
    openBlob: (layer) => target.layers[layer]!.blob(),
  });
  await verifyArtifact(task.path, source, tarDiffs, limits, signal);
}
