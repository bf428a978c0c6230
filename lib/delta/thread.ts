import { join } from 'node:path';
import type { Limits } from '../limits.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { ImageRecord } from '../image/record.ts';
import { storedLayers } from '../image/stored.ts';
import type { PatchFormat } from '../store/keys.ts';
import { serveThread } from '../runtime/threadmain.ts';
import type { Effort, LayerStream } from './align/alignment.ts';
import { createPatch, type PatchFile, type UnpackedImage } from './create.ts';

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
  const source = await openSource(task);
  const target = await openTarget(task);
  const patches: CreatedPatch[] = [];
  for (const format of task.formats) {
    const started = performance.now();
    const path = join(scratch, `patch.${format}`);
    const patch = await createPatch({ source, target, format, path, scratch, effort, limits });
    patches.push({ ...patch, format, path, encodeSeconds: (performance.now() - started) / 1000 });
  }
  return { source: source.record, target: target.record, patches };
});

const opening = () => import('./unpack.ts');

async function openSource({
  source,
  limits,
  scratch,
}: DeltaTask): Promise<Pick<UnpackedImage, 'record' | 'stream'>> {
  if (source.unpacked) return source.unpacked;
  const { readImage, unpackSource } = await opening();
  return unpackSource(await readImage(source, limits, scratch), join(scratch, 'source'), limits);
}

async function openTarget({ target, limits, scratch }: DeltaTask): Promise<UnpackedImage> {
  const read = async () => (await opening()).readImage(target, limits, scratch);
  if (target.unpacked) {
    const { record } = target.unpacked;
    return { ...target.unpacked, layers: storedLayers(record, read) };
  }
  const { unpackTarget } = await opening();
  return unpackTarget(await read(), join(scratch, 'target'), limits);
}
