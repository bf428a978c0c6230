import { crc32, inflateRawSync } from 'node:zlib';
import { PanamaxError } from '../../../errors.ts';
import { createBitWriter } from '../../../compression/bits.ts';
import { createZlib, type ZlibVariant } from '../../../compression/zlib/zlib.ts';
import { auxCacheContent, auxCacheOf } from './auxcache.ts';

/** How a member holds its content. */
export const DEFLATE = 0;
export const AUX_CACHE = 1;

/** How a member is made again from its content. */
export type MemberCodec = DeflateCodec | { readonly form: typeof AUX_CACHE };

interface DeflateCodec {
  readonly form: typeof DEFLATE;
  readonly variant: ZlibVariant;
  readonly level: number;
  /** Whether gzip's trailer stands behind the DEFLATE stream. */
  readonly hasTrailer: boolean;
}

/** By their numbers in patches: the most frequent first, of gzip, of zip, of caches. */
export const MEMBER_CODECS: readonly MemberCodec[] = [
  ...codecs([9, 6, 1, 8, 7, 5, 4, 3, 2], ['gzip', 'zlib'], true),
  ...codecs([6, 9, 1, 8, 7, 5, 4, 3, 2], ['zlib', 'gzip'], false),
  { form: AUX_CACHE },
];

function codecs(
  levels: readonly number[],
  variants: readonly ZlibVariant[],
  hasTrailer: boolean,
): DeflateCodec[] {
  return levels.flatMap((level) =>
    variants.map((variant) => ({ form: DEFLATE, variant, level, hasTrailer })),
  );
}

/** Whether a codec makes members of such a form, with a trailer of so many bytes. */
export function isCodecOf(codec: number, form: number, trailer: number): boolean {
  const one = MEMBER_CODECS[codec]!;
  return one.form === form && (one.form !== DEFLATE || one.hasTrailer === trailer > 0);
}

/** Size of the CRC-32 and the size behind the compressed content of gzip. */
export const TRAILER_SIZE = 8;

const PIECE = 64 * 1024;

/** Makes a member from its content. @throws PanamaxError `bad-patch` */
export function compressMember(content: Uint8Array, codec: number): Uint8Array {
  const one = MEMBER_CODECS[codec]!;
  if (one.form === DEFLATE) return deflated(content, one);
  try {
    return auxCacheOf(Buffer.from(content.buffer, content.byteOffset, content.length));
  } catch (error) {
    throw new PanamaxError('bad-patch', `no cache of ldconfig: ${(error as Error).message}`);
  }
}

/** DEFLATE (RFC 1951), for gzip with the trailer of a member behind it (RFC 1952). */
function deflated(content: Uint8Array, { variant, level, hasTrailer }: DeflateCodec): Uint8Array {
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

/** The content of a member without its trailer; undefined where it has another form, or more than `most` bytes. */
export function memberContent(form: number, bytes: Buffer, most: number): Buffer | undefined {
  const content = form === DEFLATE ? inflated(bytes, most) : auxCacheContent(bytes);
  return content && content.length <= most ? content : undefined;
}

/** @returns undefined unless all bytes are one DEFLATE stream of at most `most` bytes */
function inflated(bytes: Uint8Array, most: number): Buffer | undefined {
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
