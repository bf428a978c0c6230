import { join } from 'node:path';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Digest, Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { unpackImage } from '../oci/layerstream.ts';
import type { ImageRecord } from '../oci/record.ts';
import { parseReference } from '../oci/reference.ts';
import { serveThread } from '../threadmain.ts';
import type { Effort } from './alignment.ts';
import { createPatch, type PatchFile, type UnpackedImage } from './patch.ts';

/** The body of the thread that makes one patch. */

export interface DeltaTask {
  readonly source: DeltaSide;
  readonly target: DeltaSide;
  readonly effort: Effort;
  readonly limits: Limits;
  /** An empty directory of the task's own; the patch will be `patch` in it. */
  readonly scratch: string;
}

export interface DeltaSide {
  readonly reference: string;
  readonly platform?: Platform;
  readonly record: ImageRecord;
}

export interface DeltaResult extends PatchFile {
  /** What matching, coding and verifying took. */
  readonly encodeSeconds: number;
}

serveThread(async (task: DeltaTask): Promise<DeltaResult> => {
  const source = await unpack(task.source, join(task.scratch, 'source'), task.limits);
  const target = await unpack(task.target, join(task.scratch, 'target'), task.limits);
  const started = performance.now();
  const path = join(task.scratch, 'patch');
  const patch = await createPatch({ source, target, path, effort: task.effort });
  return { ...patch, encodeSeconds: (performance.now() - started) / 1000 };
});

async function unpack(side: DeltaSide, path: string, limits: Limits): Promise<UnpackedImage> {
  const { reference, record } = side;
  const image = await openImage(await parseReference(reference), { ...side, limits });
  checkSame('manifest', record.manifest, image.manifestDigest, reference);
  return { record, stream: await unpackImage(image, path, limits) };
}

/** References may be moved to another image between two stages. */
function checkSame(what: string, expected: Digest, found: Digest, where: string): void {
  if (expected === found) return;
  throw new PanamaxError('bad-input', `the image has changed since it was read: ${what}`, {
    expected,
    found,
    where,
  });
}
