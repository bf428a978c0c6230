import { dirname, join } from 'node:path';
import type { Limits } from '../limits.ts';
import type { Platform } from '../oci/descriptor.ts';
import { checkManifest, openImage, type Image } from '../oci/image.ts';
import { unpackImage } from '../oci/layerstream.ts';
import { measurePullSizes } from '../oci/pullsize.ts';
import { imageRecord, type ImageRecord } from '../oci/record.ts';
import { parseReference } from '../oci/reference.ts';
import { findCompressions } from '../recompress/finder.ts';
import { serveThread } from '../threadmain.ts';
import type { PatchFormat } from '../store/layout.ts';
import type { Effort, LayerStream } from './alignment.ts';
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
  /** The image as its signature has it, unpacked; without, the thread reads and unpacks it. */
  readonly unpacked?: { readonly record: ImageRecord; readonly stream: LayerStream };
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
  const source = await open(task.source, join(task.scratch, 'source'), task.limits, false);
  const target = await open(task.target, join(task.scratch, 'target'), task.limits, true);
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

async function open(
  side: DeltaSide,
  path: string,
  limits: Limits,
  isTarget: boolean,
): Promise<UnpackedImage> {
  const { reference, unpacked } = side;
  const read = async () =>
    openImage(await parseReference(reference), { ...side, limits, scratch: dirname(path) });
  if (unpacked) {
    let image: Promise<Image> | undefined;
    const layers = unpacked.record.layers.map((_, i) => ({
      // few patches need the layers as they are stored
      async *blob() {
        image ??= read().then((found) => checkManifest(found, unpacked.record.manifest));
        yield* (await image).layers[i]!.blob();
      },
    }));
    return { ...unpacked, layers };
  }
  const image = await read();
  const { layers } = image;
  const stream = await unpackImage(image, path, limits);
  const pullSizes = await measurePullSizes(image);
  const compressions = isTarget ? await findCompressions(layers, stream) : [];
  return { stream, record: imageRecord(image, stream.layerSizes, pullSizes, compressions), layers };
}
