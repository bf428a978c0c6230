import { crc32 } from 'node:zlib';

/** Parts of the .xz file format (version 1.1.0) for a stream of one LZMA2 block without a check. */
export const STREAM_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
/** Magic, two bytes of flags (both 0: no check), their CRC-32. */
export const STREAM_HEADER_SIZE = 12;
/** Size, flags, filter ID, size of its properties, dictionary size, padding to 8, CRC-32. */
export const BLOCK_HEADER_SIZE = 12;
export const LZMA2_FILTER = 0x21;

const MIN_DICTIONARY = 4096;

/** Dictionary size in bytes for LZMA2's properties byte (section 5.3.1); undefined if invalid. */
export function dictionarySize(code: number): number | undefined {
  if (code > 40) return undefined;
  return code === 40 ? 2 ** 32 - 1 : (2 | (code & 1)) * 2 ** (Math.floor(code / 2) + 11);
}

/** The properties byte of the smallest dictionary of at least `size` bytes. */
function dictionaryCode(size: number): number {
  let code = 0;
  while (dictionarySize(code)! < Math.max(size, MIN_DICTIONARY)) code++;
  return code;
}

/** Stream header and block header, which precede the first LZMA2 chunk. */
export function xzPrologue(maxDictionary: number): Uint8Array {
  const out = Buffer.alloc(STREAM_HEADER_SIZE + BLOCK_HEADER_SIZE);
  out.set(STREAM_MAGIC);
  out.writeUInt32LE(crc32(out.subarray(6, 8)), 8);
  const block = out.subarray(STREAM_HEADER_SIZE);
  block.set([BLOCK_HEADER_SIZE / 4 - 1, 0, LZMA2_FILTER, 1, dictionaryCode(maxDictionary)]);
  block.writeUInt32LE(crc32(block.subarray(0, 8)), 8);
  return out;
}
