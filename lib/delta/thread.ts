import { join } from 'node:path';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Platform } from '../oci/descriptor.ts';
import { openImage } from '../oci/image.ts';
import { unpackImage } from '../oci/layerstream.ts';
import { measurePullSizes } from '../oci/pullsize.ts';
import { imageRecord, type ImageRecord } from '../oci/record.ts';
import { parseReference } from '../oci/reference.ts';
import { findCompressions } from '../recompress/detect.ts';
import { serveThread } from '../threadmain.ts';
import type { PatchFormat } from '../store/layout.ts';
import type { Effort } from './alignment.ts';
import { createPatch, type PatchFile, type UnpackedImage } from './patch.ts';

/** The body of the thread that makes one patch. */

export interface DeltaTask {
  readonly source: DeltaSide;
  readonly target: DeltaSide;
  readonly formats: readonly PatchFormat[];
  readonly effort: Effort;
  readonly limits: Limits;
  /** An empty directory of the task's own; the patches will be in it. */
  readonly scratch: string;
}

export interface DeltaSide {
  readonly reference: string;
  readonly platform?: Platform;
  /** As the image's signature has it; read from the image where there is none. */
  readonly record?: ImageRecord;
}

export interface DeltaResult {
  readonly source: ImageRecord;
  readonly target: ImageRecord;
  /** One for each format asked for. */
  readonly patches: readonly CreatedPatch[];
}

export interface CreatedPatch extends PatchFile {
  readonly format: PatchFormat;
  /** The file. */
  readonly path: string;
  /** What matching, coding and verifying took. */
  readonly encodeSeconds: number;
}

serveThread(async (task: DeltaTask): Promise<DeltaResult> => {
  const source = await unpack(task.source, join(task.scratch, 'source'), task.limits, false);
  const target = await unpack(task.target, join(task.scratch, 'target'), task.limits, true);
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    const started = performance.now();
    const path = join(task.scratch, `patch.${format}`);
    const { effort, limits, scratch } = task;
    const patch = await createPatch({ source, target, format, path, scratch, effort, limits });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  return { source: source.record, target: target.record, patches };
});

async function unpack(
  side: DeltaSide,
  path: string,
  limits: Limits,
  isTarget: boolean,
): Promise<UnpackedImage> {
  const { reference, record } = side;
  const image = await openImage(await parseReference(reference), { ...side, limits });
  if (record && record.manifest !== image.manifestDigest) {
    throw new PanamaxError('bad-input', 'the image has changed since its signature was made', {
      expected: record.manifest,
      found: image.manifestDigest,
      where: reference,
    });
  }
  const stream = await unpackImage(image, path, limits);
  const { layers } = image;
  if (record) return { stream, record, layers };
  const pullSizes = await measurePullSizes(image);
  const compressions = isTarget ? await findCompressions(layers, stream) : [];
  return { stream, record: imageRecord(image, stream.layerSizes, pullSizes, compressions), layers };
}
