/**
 * The result of the matcher for every format: places of the target that resemble places of the source.
 *
 * Item i says: target[target[i], target[i] + length[i]) resembles source[source[i], source[i] + length[i]),
 * byte by byte at the same distance. `exact[i]` is 1 where the two are known to be identical; where it is 0
 * single bytes may differ, and an exact-copy encoding has to compare. Items ascend in `target` and do not
 * overlap there; target bytes that no item covers have no counterpart. Offsets are in bytes of the layer streams.
 */
export interface Alignments {
  readonly count: number;
  readonly target: Float64Array;
  readonly source: Float64Array;
  readonly length: Float64Array;
  readonly exact: Uint8Array;
}

/** Ascending in work. */
export const EFFORTS = ['fast', 'default', 'best'] as const;
export type Effort = (typeof EFFORTS)[number];
