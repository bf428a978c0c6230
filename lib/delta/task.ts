import type { Digest } from '../digest.ts';
import type { LayerStream } from '../image/layerstream.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { ImageRecord } from '../image/record.ts';
import type { Limits } from '../limits.ts';
import type { Effort } from './align/alignment.ts';
import type { FormatName } from './format.ts';

/** Input and output of the thread that makes the patches of a pair (`thread.ts`). */

export interface DeltaTask {
  readonly source: DeltaSide;
  readonly target: DeltaSide;
  readonly formats: readonly FormatName[];
  readonly effort: Effort;
  readonly limits: Limits;
  /** An empty directory for this task alone. The patches are written here. */
  readonly scratch: string;
}

export interface DeltaSide {
  readonly reference: string;
  readonly platform?: Platform;
  /** Directory that keeps blobs from registries. */
  readonly blobs?: string;
  /**
   * The image, already unpacked. Without it the thread reads and unpacks the image, and finds the compressions of a
   * target's layers.
   */
  readonly unpacked?: { readonly record: ImageRecord; readonly stream: LayerStream };
}

export interface DeltaResult {
  readonly source: ImageRecord;
  /** With the compressions of its layers. */
  readonly target: ImageRecord;
  /** One for each format of the task, in its order. */
  readonly patches: readonly CreatedPatch[];
}

export interface PatchFile {
  /** In bytes. */
  readonly size: number;
  readonly digest: Digest;
}

export interface CreatedPatch extends PatchFile {
  readonly format: FormatName;
  readonly path: string;
  /** Wall time of matching, coding and verifying. */
  readonly encodeSeconds: number;
}
