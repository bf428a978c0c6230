import { createCompressor } from '../../lib/compression/compressor.ts';

/** The compressed layer that a recipe makes of a tar that arrives in pieces. */
export function recompress(
  recipe: Parameters<typeof createCompressor>[0],
  input: Uint8Array,
  pieceSize = 65_536,
): Buffer {
  const compressor = createCompressor(recipe);
  const made: Uint8Array[] = [];
  for (let at = 0; at < input.length; at += pieceSize) {
    made.push(compressor.next(input.subarray(at, at + pieceSize)));
  }
  return Buffer.concat([...made, compressor.end()]);
}
