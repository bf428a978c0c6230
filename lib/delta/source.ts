import { parseReference } from '../image/oci/reference.ts';
import { openImage, type Image } from '../image/open.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { Limits } from '../limits.ts';
import { PanamaxError } from '../errors.ts';
import type { Digest } from '../digest.ts';
import type { ApplyTask, ApplyContext } from './format.ts';

/** An index with several platforms at the source holds the target's, too. */
export async function openSource(
  source: string,
  task: ApplyTask,
  target: Platform | undefined,
  context: ApplyContext,
): Promise<Image> {
  const platform = task.platform ?? target;
  return openImage(await parseReference(source), { ...context, ...(platform && { platform }) });
}

export function checkSize(size: number, limits: Limits, where: string): void {
  if (size <= limits.maxImageSize) return;
  throw new PanamaxError('limit', 'target is over maxImageSize', {
    expected: `at most ${limits.maxImageSize} bytes uncompressed`,
    found: size,
    where,
  });
}

export function wrongSource(config: Digest, expected: string, found: string, where: string): PanamaxError {
  return new PanamaxError('wrong-source', `not the source of this patch, which is image ${config}`, {
    expected,
    found,
    where,
  });
}
