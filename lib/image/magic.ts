/** Compressions that a layer's first bytes can tell. Only gzip and zstd are read. */
export type StoredCompression =
  'none' | 'gzip' | 'zstd' | 'xz' | 'bzip2' | 'lz4' | 'lzip' | 'lzma' | 'lzop' | 'compress' | 'zip' | '7z';

/** Bytes that `compressionOf` needs. */
export const HEAD_SIZE = 10;

/** First bytes in hex. A bzip2 stream starts with its level and the magic of a block or of the end. */
const MAGIC: readonly (readonly [StoredCompression, RegExp])[] = [
  ['gzip', /^1f8b/],
  // a frame, or a skippable frame before it
  ['zstd', /^(28b52ffd|5.2a4d18)/],
  ['xz', /^fd377a585a00/],
  ['bzip2', /^425a683[1-9](314159265359|177245385090)/],
  // a frame of today, or of lz4 before 1.0
  ['lz4', /^(04224d18|02214c18)/],
  ['lzip', /^4c5a495001/],
  // properties as all encoders write them, and a dictionary of 64 KiB to 2 GiB; a tar's name would end in NULs
  ['lzma', /^5d0000(?!00)..00/],
  ['lzop', /^894c5a4f000d0a1a0a/],
  ['compress', /^1f9d/],
  ['zip', /^504b0304/],
  ['7z', /^377abcaf271c/],
];

/** Detects the compression by the first bytes of a stream, as container engines do. */
export function compressionOf(head: Uint8Array): StoredCompression {
  const hex = Buffer.from(head.subarray(0, HEAD_SIZE)).toString('hex');
  return MAGIC.find(([, magic]) => magic.test(hex))?.[0] ?? 'none';
}
