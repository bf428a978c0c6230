import { crc32 } from 'node:zlib';
import type { Trailer } from './coder.ts';

const FLAG_HEADER_CRC = 2;
const FLAG_EXTRA = 4;
const FLAG_NAME = 8;
const FLAG_COMMENT = 16;
const FIXED_SIZE = 10;

/**
 * Size of the header of a gzip member (RFC 1952, section 2.3) at the start of `bytes`; undefined without a whole
 * header.
 */
export function gzipHeaderSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < FIXED_SIZE || bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) return undefined;
  const flags = bytes[3]!;
  let size = FIXED_SIZE;
  if (flags & FLAG_EXTRA) size += 2 + (bytes[size] ?? 0) + ((bytes[size + 1] ?? 0) << 8);
  for (const flag of [FLAG_NAME, FLAG_COMMENT]) {
    if (!(flags & flag)) continue;
    const end = bytes.indexOf(0, size);
    if (end < 0) return undefined;
    size = end + 1;
  }
  if (flags & FLAG_HEADER_CRC) size += 2;
  return size <= bytes.length ? size : undefined;
}

/** CRC-32 and size of the content (RFC 1952, section 2.3.1). */
export function createGzipTrailer(): Trailer {
  let crc = 0;
  let size = 0;
  return {
    update(piece) {
      crc = crc32(piece, crc);
      size += piece.length;
    },
    bytes() {
      const trailer = Buffer.alloc(8);
      trailer.writeUInt32LE(crc, 0);
      trailer.writeUInt32LE(size % 2 ** 32, 4);
      return trailer;
    },
  };
}
