import { stat } from 'node:fs/promises';
import type { Limits } from '../limits.ts';
import { digestOfFile } from '../oci/filedigest.ts';
import type { Digest } from '../oci/descriptor.ts';
import type { Layer } from '../oci/image.ts';
import type { ImageRecord } from '../oci/record.ts';
import type { PatchFormat } from '../store/layout.ts';
import type { Effort, LayerStream } from './alignment.ts';

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
  if (task.format === 'xdelta') await (await import('./xdeltacreation.ts')).createXdelta(task);
  else await (await import('./ocideltacreation.ts')).createOciDelta(task);
  return { size: (await stat(task.path)).size, digest: await digestOfFile(task.path) };
}
