import type { Digest } from '../../image/oci/descriptor.ts';
import type { TarRange } from '../../image/tar/file.ts';

/**
 * What the matcher hands to every encoding: places of the target that resemble places of the source.
 *
 * Item i says: target[target[i], target[i] + length[i]) resembles source[source[i], source[i] + length[i]),
 * byte by byte at the same distance. `exact[i]` is 1 where the two are known to be identical; where it is 0
 * single bytes may differ, and an exact-copy encoding has to compare. Items ascend in `target` and do not
 * overlap there; what no item covers has no counterpart. Offsets are in bytes of the layer streams.
 */
export interface Alignments {
  readonly count: number;
  readonly target: Float64Array;
  readonly source: Float64Array;
  readonly length: Float64Array;
  readonly exact: Uint8Array;
}

/** One image's layer stream on disk: its uncompressed layer tars, concatenated bottom first. */
export interface LayerStream {
  /** A regular file. */
  readonly path: string;
  /** Bytes of each layer's tar, in order. Their sum is the file's size. */
  readonly layerSizes: readonly number[];
  /** Of the layers in order, where they are known. */
  readonly diffIDs?: readonly Digest[];
}

/** Where each layer's tar is in the stream. */
export function layerRanges({ path, layerSizes }: LayerStream): TarRange[] {
  let end = 0;
  return layerSizes.map((size) => {
    const start = end;
    end += size;
    return { path, start, end };
  });
}

/** From the least work to the most. */
export const EFFORTS = ['fast', 'default', 'best'] as const;
export type Effort = (typeof EFFORTS)[number];
