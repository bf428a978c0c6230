import { dirname, join } from 'node:path';
import type { Limits } from '../limits.ts';
import type { Platform } from '../oci/descriptor.ts';
import { openImage, type Image } from '../oci/image.ts';
import { unpackImage } from '../oci/layerstream.ts';
import { measurePullSizes } from '../oci/pullsize.ts';
import { imageRecord, withCompressions, type ImageRecord } from '../oci/record.ts';
import { parseReference } from '../oci/reference.ts';
import { storedLayers } from '../oci/stored.ts';
import { findCompressions } from '../recompress/finder.ts';
import { serveThread } from '../threadmain.ts';
import type { PatchFormat } from '../store/layout.ts';
import type { Effort, LayerStream } from './alignment.ts';
import { createPatch, type PatchFile, type UnpackedImage } from './creation.ts';

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
  /** Where blobs from registries are kept. */
  readonly blobs?: string;
  /** The image as it is known, unpacked; without, the thread reads and unpacks it, and finds how a target was compressed. */
  readonly unpacked?: { readonly record: ImageRecord; readonly stream: LayerStream };
}

export interface DeltaResult {
  readonly source: ImageRecord;
  /** With the compressions of its layers. */
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
  const { limits, scratch, effort } = task;
  const source = await openImageOf(task.source, join(scratch, 'source'), limits);
  const target = await openTarget(task, join(scratch, 'target'));
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    const started = performance.now();
    const path = join(scratch, `patch.${format}`);
    const patch = await createPatch({ source, target, format, path, scratch, effort, limits });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  return { source: source.record, target: target.record, patches };
});

async function openTarget({ target, limits }: DeltaTask, path: string): Promise<UnpackedImage> {
  const { record, stream, read } = await openImageOf(target, path, limits);
  const layers = storedLayers(record, read);
  if (target.unpacked) return { record, stream, layers };
  const compressions = await findCompressions(layers, stream);
  return { record: withCompressions(record, compressions), stream, layers };
}

interface OpenedImage extends Pick<UnpackedImage, 'record' | 'stream'> {
  readonly read: () => Promise<Image>;
}

async function openImageOf(side: DeltaSide, path: string, limits: Limits): Promise<OpenedImage> {
  const reference = await parseReference(side.reference);
  const read = async () => openImage(reference, { ...side, limits, scratch: dirname(path) });
  if (side.unpacked) return { ...side.unpacked, read };
  const image = await read();
  const stream = await unpackImage(image, path, limits);
  const record = imageRecord(image, stream.layerSizes, await measurePullSizes(image));
  return { stream, record, read: async () => image };
}
