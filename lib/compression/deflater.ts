/** Writes a DEFLATE stream (RFC 1951) to a bit writer. */
export interface Deflater {
  /** Takes a chunk of input. The caller may reuse its memory. */
  write(piece: Uint8Array): void;
  /** Writes the remaining output, padded to a whole byte. */
  finish(): void;
}
