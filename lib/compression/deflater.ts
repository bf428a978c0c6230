/** Makes a DEFLATE stream (RFC 1951) into the bit writer it was given. */
export interface Deflater {
  /** A piece may be used again afterwards. */
  write(piece: Uint8Array): void;
  /** The input has ended: writes what is left, up to a whole byte. */
  finish(): void;
}
