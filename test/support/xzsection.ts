/** Streams of xz with LZMA2 chunks and without an end, as sections of VCDIFF have them. */
import { Lzma2Encoder } from '../../lib/compression/lzma/lzma2encoder.ts';
import { xzPrologue } from '../../lib/compression/lzma/xz.ts';

/** Of the sections, in bytes. */
export const SECTION_WINDOW = 2 ** 16;

/** @param optimal whether symbols are chosen by price */
export function xzSection(bytes: Uint8Array, optimal = false): Buffer {
  const encoder = new Lzma2Encoder({
    properties: { lc: 3, lp: 0, pb: 0 },
    maxPiece: SECTION_WINDOW,
    window: SECTION_WINDOW,
    rowCountBits: 10,
    depth: 4,
    niceLength: 32,
    optimal,
  });
  return Buffer.concat([xzPrologue(SECTION_WINDOW), ...encoder.encode(bytes, [bytes.length])]);
}
