import { runThreadOnce, threadEntry } from '../../../runtime/thread.ts';
import { sizeOfParts } from '../../../runtime/space.ts';
import { planPatch, type PlannedPatch, type PlanOptions } from './plan.ts';
import type { StoredSide } from './storedside.ts';

const planThread = threadEntry<typeof import('./planthread.ts')>(new URL('./planthread.ts', import.meta.url));

/** Smaller targets are not worth a thread, in bytes. */
const MIN_SHARED = 16 * 1024 ** 2;

/** Plans a patch; for large targets in a thread of its own, whose memory is freed before the patch is encoded. */
export async function planInThread(
  source: StoredSide,
  target: StoredSide,
  { signal, ...options }: PlanOptions,
): Promise<PlannedPatch> {
  const size = sizeOfParts(target.stream.parts);
  if (size < MIN_SHARED) return planPatch(source, target, { ...options, ...(signal && { signal }) });
  return runThreadOnce(planThread, { source: side(source), target: side(target), options }, signal);
}

/** The fields that a message can hold. */
function side({ record: { layers }, stream }: StoredSide): StoredSide {
  return { record: { layers }, stream };
}
