/** The streams of a patch that are compressed, each from its first batch to its last. */

/** Bytes that no operation covers. */
export const FRESH = 0;
/** Where plain bytes of code differ from the prediction, and by how much; likewise other parts of executables, the rest. */
export const CODE_PLACES = 1;
export const CODE_DIFFERENCES = 2;
export const DATA_PLACES = 3;
export const DATA_DIFFERENCES = 4;
export const OTHER_PLACES = 5;
export const OTHER_DIFFERENCES = 6;
/** In mixed patches all of these but new bytes, with operands. */
export const MIXTURE = 1;
export const STREAMS = 7;

/** Classes of plain bytes. */
export const CODE_BYTES = 0;
export const DATA_BYTES = 1;
export const OTHER_BYTES = 2;
export const CLASSES = 3;

/** The part of each stream that belongs to one group. */
export type StreamParts = readonly Uint8Array[];

export const placesOf = (byteClass: number): number => CODE_PLACES + 2 * byteClass;
export const differencesOf = (byteClass: number): number => CODE_DIFFERENCES + 2 * byteClass;

export interface StreamForm {
  /** Farthest distance of a match, in bytes. */
  readonly window: number;
  /** The longest piece that is compressed at once, in bytes. */
  readonly maxPiece: number;
  /** Bits of the byte before that tell a literal's context. */
  readonly lc: number;
}

const SMALL: StreamForm = { window: 2 ** 20, maxPiece: 2 ** 20, lc: 0 };

export const STREAM_FORMS: readonly StreamForm[] = [
  { window: 2 ** 23, maxPiece: 2 ** 22, lc: 3 },
  ...Array.from({ length: STREAMS - 1 }, () => SMALL),
];
