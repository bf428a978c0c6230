/** Compresses a layer chunk by chunk. */
export interface Compressor {
  /** Takes the next chunk of the tar. @returns the output so far, possibly empty */
  next(piece: Uint8Array): Uint8Array;
  /** @returns the remaining output and the trailer */
  end(): Uint8Array;
}

/** The bytes after the compressed content, computed from the content. */
export interface Trailer {
  update(piece: Uint8Array): void;
  bytes(): Uint8Array;
}
