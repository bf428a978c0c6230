import { crc32, inflateRawSync } from 'node:zlib';
import { createBitWriter } from '../../../compression/bits.ts';
import { createZlib, type ZlibVariant } from '../../../compression/zlib/zlib.ts';

/** How a member is compressed again. */
export interface MemberCodec {
  readonly variant: ZlibVariant;
  readonly level: number;
  /** Whether gzip's trailer stands behind the DEFLATE stream. */
  readonly hasTrailer: boolean;
}

/** By their numbers in patches: the most frequent first, of gzip and then of zip. */
export const MEMBER_CODECS: readonly MemberCodec[] = [
  ...codecs([9, 6, 1, 8, 7, 5, 4, 3, 2], ['gzip', 'zlib'], true),
  ...codecs([6, 9, 1, 8, 7, 5, 4, 3, 2], ['zlib', 'gzip'], false),
];

function codecs(
  levels: readonly number[],
  variants: readonly ZlibVariant[],
  hasTrailer: boolean,
): MemberCodec[] {
  return levels.flatMap((level) => variants.map((variant) => ({ variant, level, hasTrailer })));
}

/** Whether a codec makes members with such a trailer, in bytes. */
export function isCodecOf(codec: number, trailer: number): boolean {
  return MEMBER_CODECS[codec]!.hasTrailer === trailer > 0;
}

/** Size of the CRC-32 and the size behind the compressed content of gzip. */
export const TRAILER_SIZE = 8;

const PIECE = 64 * 1024;

/** Compresses content as DEFLATE (RFC 1951), for gzip with the trailer of a member behind it (RFC 1952). */
export function compressMember(content: Uint8Array, codec: number): Uint8Array {
  const { variant, level, hasTrailer } = MEMBER_CODECS[codec]!;
  const out = createBitWriter();
  const deflater = createZlib(level, variant, out);
  for (let at = 0; at < content.length; at += PIECE) deflater.write(content.subarray(at, at + PIECE));
  deflater.finish();
  if (!hasTrailer) return out.take();
  const trailer = Buffer.alloc(TRAILER_SIZE);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length, 4);
  out.bytes(trailer);
  return out.take();
}

/** @returns undefined unless all bytes are one DEFLATE stream of at most `most` bytes */
export function inflated(bytes: Uint8Array, most: number): Buffer | undefined {
  try {
    const { buffer, engine } = inflateRawSync(bytes, { info: true, maxOutputLength: most }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    return engine.bytesWritten === bytes.length ? buffer : undefined;
  } catch {
    return undefined;
  }
}
