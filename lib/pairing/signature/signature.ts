import type { Digest } from '../../digest.ts';
import type { ImageRecord } from '../../image/record.ts';
import type { Texts } from '../../runtime/column.ts';
import type { Contents } from './contents.ts';
import type { FileTable } from './filetable.ts';

/** The data about an image that pairing needs, computed once per image (docs/formats.md). */
export interface Signature {
  readonly image: ImageRecord;
  /** Digest over the flattened image without times: equal for images of the same content. */
  readonly contentDigest: Digest;
  /** Bytes of the regular files of the flattened image; hardlinked files count once. */
  readonly contentSize: number;
  /** TLSH of those files in path order; null if they are too small or too uniform. */
  readonly tlsh: string | null;
  readonly files: FileTable;
  /** Bottom layer first. */
  readonly layers: readonly LayerTable[];
  /** The distinct contents of the files of all layers. */
  readonly contents: Contents;
}

/** The files of one layer's tar, including those that a higher layer hides. */
export interface LayerTable {
  /** TLSH of the regular files in the order of the tar; null if they are too small or too uniform. */
  readonly tlsh: string | null;
  /** Number of entries in the tar. */
  readonly entries: number;
  readonly files: LayerFiles;
}

/** The regular files of a layer in the order of the tar. */
export interface LayerFiles {
  /** Byte strings as in the tar. */
  readonly paths: Texts;
  /** For each file the index of its content in the signature's `contents`. */
  readonly contents: Uint32Array;
}
