import type { Destination } from '../image/write/destination.ts';
import type { ImageRecord } from '../image/record.ts';
import { writeImage } from '../image/write/writer.ts';
import type { ApplyContext, SourceTask } from './format.ts';
import { openPatch } from './patch.ts';

export interface ApplyTask extends SourceTask {
  /** Path of the patch. */
  readonly patch: string;
  readonly destination: Destination;
  /** Writes layers uncompressed with a manifest of its own, even where the target's manifest could be kept. */
  readonly isPlain?: boolean;
}

/**
 * Rebuilds the target of a patch. The source is checked before anything is written, the target while it is written.
 * The destination gets the whole image or nothing.
 *
 * @throws PanamaxError `wrong-source`, `bad-patch`, `bad-input`, `limit`, `io`
 */
export async function applyPatchFile(task: ApplyTask, context: ApplyContext): Promise<ImageRecord> {
  const patch = await openPatch(task.patch, context.limits);
  const { record, stream } = await patch.apply(task, context);
  await writeImage(record, stream, task.destination, { ...task, ...context });
  return record;
}
