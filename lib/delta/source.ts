import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import { parseReference } from '../image/oci/reference.ts';
import { openImage, type Image } from '../image/open.ts';
import type { Limits } from '../limits.ts';
import type { ApplyContext, SourceTask } from './format.ts';

/** Checks of a patch's source that several formats share. */

/** @param target platform of the target: selects the image where the source is an index of several platforms */
export async function openSource(
  source: string,
  task: Pick<SourceTask, 'platform'>,
  target: Platform | undefined,
  context: ApplyContext,
): Promise<Image> {
  const platform = task.platform ?? target;
  return openImage(await parseReference(source), { ...context, ...(platform && { platform }) });
}

/** The file of a source that is `stream:FILE`. @throws PanamaxError `usage` where other sources stand beside it */
export function streamOf({ sources }: Pick<SourceTask, 'sources'>): string | undefined {
  const stream = sources.find((source) => source.startsWith('stream:'));
  if (stream === undefined || sources.length === 1) return stream?.slice('stream:'.length);
  throw new PanamaxError('usage', 'a layer stream goes with no other source', { found: sources.join(', ') });
}

/** @param size of the target's layer stream, in bytes. @throws PanamaxError `limit` */
export function checkSize(size: number, limits: Limits, where: string): void {
  if (size <= limits.maxImageSize) return;
  throw new PanamaxError('limit', 'target is over maxImageSize', {
    expected: `at most ${limits.maxImageSize} bytes uncompressed`,
    found: size,
    where,
  });
}

/** @param config image ID of the source that the patch was made from */
export function wrongSource(config: Digest, expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('wrong-source', `not the source of this patch, which is image ${config}`, {
    expected,
    found,
    where,
  });
}
