import type { Trailer } from '../coder.ts';
import { createXxhash } from './xxhash.ts';

const MAGIC = 0xfd2fb528;
const CHECKSUM_FLAG = 4;
const SINGLE_SEGMENT_FLAG = 32;
const RESERVED_FLAG = 8;
const CONTENT_SIZES = [0, 2, 4, 8];

/**
 * Size of the header of a zstd frame (RFC 8878, section 3.1.1.1) at the start of `bytes`; undefined without a whole
 * header, or if it needs a dictionary.
 */
export function zstdHeaderSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < 6) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const descriptor = bytes[4]!;
  if (view.getUint32(0, true) !== MAGIC || (descriptor & (3 | RESERVED_FLAG)) !== 0) return undefined;
  const isSingle = (descriptor & SINGLE_SEGMENT_FLAG) !== 0;
  const contentSize = CONTENT_SIZES[descriptor >> 6]! || (isSingle ? 1 : 0);
  const size = 5 + (isSingle ? 0 : 1) + contentSize;
  return size <= bytes.length ? size : undefined;
}

/** Size of the content in bytes; undefined if the header does not have it. */
export function zstdContentSize(header: Buffer): number | undefined {
  const descriptor = header[4]!;
  const isSingle = (descriptor & SINGLE_SEGMENT_FLAG) !== 0;
  const at = isSingle ? 5 : 6;
  switch (descriptor >> 6) {
    case 0:
      return isSingle ? header[at] : undefined;
    case 1:
      return 256 + header.readUInt16LE(at);
    case 2:
      return header.readUInt32LE(at);
    default:
      return Number(header.readBigUInt64LE(at));
  }
}

export function hasZstdChecksum(header: Uint8Array): boolean {
  return ((header[4] ?? 0) & CHECKSUM_FLAG) !== 0;
}

/** The content's checksum; empty if the header has no flag for it. */
export function createZstdTrailer(header: Uint8Array): Trailer {
  if (!hasZstdChecksum(header)) return { update: () => {}, bytes: () => new Uint8Array() };
  const hash = createXxhash();
  return {
    update: (piece) => hash.update(piece),
    bytes() {
      const trailer = Buffer.alloc(4);
      trailer.writeUInt32LE(hash.low());
      return trailer;
    },
  };
}
