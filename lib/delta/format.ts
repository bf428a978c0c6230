import type { Destination } from '../image/write/destination.ts';
import type { LayerStream } from '../image/layerstream.ts';
import type { Recipe } from './recipe.ts';
import type { OciDelta } from './formats/ocidelta/read.ts';
import type { Effort } from './align/alignment.ts';
import type { ImageRecord } from '../image/record.ts';
import type { Layer } from '../image/open.ts';
import type { Digest } from '../digest.ts';
import type { Platform } from '../image/oci/descriptor.ts';
import type { Limits } from '../limits.ts';

export interface ApplyTask {
  /** Path of the patch. */
  readonly patch: string;
  /**
   * References of images that have the source's layers between them, or `stream:FILE` for its layer stream. An oci-delta
   * takes the very image it was made from, alone.
   */
  readonly sources: readonly string[];
  readonly destination: Destination;
  /** Layers uncompressed, and a manifest of its own, also where the target's could be kept. */
  readonly isPlain?: boolean;
  /** Of the source; by default the target's. */
  readonly platform?: Platform;
}

export interface ApplyContext {
  /** A directory for layer streams. */
  readonly scratch: string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

export type PatchFormat = 'xdelta' | 'oci-delta';

export const PATCH_SUFFIX: Readonly<Record<PatchFormat, string>> = {
  xdelta: 'xdelta',
  'oci-delta': 'oci-delta.tar',
};

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

/** What all formats say. */
export interface PatchSides {
  readonly source: Recipe['source'] | OciDelta['source'];
  readonly target: Recipe['target'] | OciDelta['target'];
  /** Of the target, bottom first. */
  readonly layers: Recipe['target']['layers'] | OciDelta['layers'];
}
