import { stat } from 'node:fs/promises';
import type { Limits } from '../limits.ts';
import { digestOfFile } from '../runtime/filedigest.ts';
import type { Digest } from '../image/oci/descriptor.ts';
import type { Layer } from '../image/open.ts';
import type { ImageRecord } from '../image/record.ts';
import type { PatchFormat } from '../store/keys.ts';
import type { Effort, LayerStream } from './align/alignment.ts';

/** Patches made and verified. Who applies patches loads nothing of this, and what it needs. */

/** An image and its layer stream on scratch. */
export interface UnpackedImage {
  readonly record: ImageRecord;
  readonly stream: LayerStream;
  /** Bottom first. */
  readonly layers: readonly Pick<Layer, 'blob'>[];
}

export interface PatchTask {
  readonly source: Pick<UnpackedImage, 'record' | 'stream'>;
  readonly target: UnpackedImage;
  readonly format: PatchFormat;
  /** The file to write. */
  readonly path: string;
  /** A directory for parts of the patch. */
  readonly scratch: string;
  readonly effort: Effort;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
}

export interface PatchFile {
  readonly size: number;
  readonly digest: Digest;
}

/** Writes a patch and applies it: what comes out has the target's diffIDs, or this throws. */
export async function createPatch(task: PatchTask): Promise<PatchFile> {
  // what makes the other format is not loaded
  if (task.format === 'xdelta') await (await import('./formats/xdelta/create.ts')).createXdelta(task);
  else await (await import('./formats/ocidelta/create.ts')).createOciDelta(task);
  return { size: (await stat(task.path)).size, digest: await digestOfFile(task.path) };
}
