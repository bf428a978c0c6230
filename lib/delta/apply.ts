import { withPlace } from '../errors.ts';
import type { ImageRecord } from '../image/record.ts';
import type { ImageSink } from '../image/write/sink.ts';
import type { ApplyContext, SourceTask } from './format.ts';
import { openPatch } from './patch.ts';

export interface ApplyTask extends SourceTask {
  /** Path of the patch. */
  readonly patch: string;
  /** Takes the target while it is rebuilt. */
  readonly sink: ImageSink;
}

/**
 * Rebuilds the target of a patch into a sink. The source is checked before the sink gets anything; the sink verifies
 * the target.
 *
 * @throws PanamaxError `wrong-source`, `bad-patch`, `bad-input`, `limit`, `io`
 */
export async function applyPatchFile(task: ApplyTask, context: ApplyContext): Promise<ImageRecord> {
  const patch = await openPatch(task.patch, context.limits);
  try {
    const { record, stream } = await patch.apply(task, context);
    await task.sink(record, stream);
    return record;
  } catch (error) {
    throw withPlace(error, task.patch);
  }
}
