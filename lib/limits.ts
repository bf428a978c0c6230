/** Limits for all input. Larger input is refused with a `limit` error that names the limit. Sizes are in bytes. */
export interface Limits {
  /** One manifest, index or config document. */
  readonly maxDocumentSize: number;
  /** The sum of one image's uncompressed layers, and the size of one sparse file when expanded. */
  readonly maxImageSize: number;
  /** Bytes that a layer may expand to for each of its compressed bytes, beyond the first GiB. */
  readonly maxExpansion: number;
  /** Layers of one image. */
  readonly maxLayers: number;
  /** Tar entries of one image. */
  readonly maxEntries: number;
  /** The sum of PAX and GNU long-name records of one tar entry. */
  readonly maxHeaderSize: number;
  /** One path or link target. */
  readonly maxPathLength: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxDocumentSize: 4 * 1024 ** 2,
  maxImageSize: 64 * 1024 ** 3,
  // more than DEFLATE reaches (1032), so that only bombs in zstd and in sparse maps are beyond it
  maxExpansion: 1100,
  maxLayers: 512,
  maxEntries: 1_000_000,
  maxHeaderSize: 1024 ** 2,
  maxPathLength: 4096,
};
