/** A compressed layer, piece by piece. */
export interface Compressor {
  /** What is ready by now, which may be nothing. */
  next(piece: Uint8Array): Uint8Array;
  /** The rest, with the trailer. */
  end(): Uint8Array;
}

/** What stands behind the compressed content, made of the content. */
export interface Trailer {
  update(piece: Uint8Array): void;
  bytes(): Uint8Array;
}
