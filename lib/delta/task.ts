import type { LayerStream } from '../image/layerstream.ts';
import type { Effort } from './align/alignment.ts';
import type { ImageRecord } from '../image/record.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { Limits } from '../limits.ts';
import type { PatchFormat, PatchFile } from './format.ts';

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
