import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** The sections of a stored signature or layer summary, expanded. Offsets as in docs/formats.md. */
export function sectionsOf(bytes: Buffer, count = 3): Buffer[] {
  let at = 16 + 8 * count;
  return Array.from({ length: count }, (_, i) => {
    const start = at;
    at += bytes.readUInt32LE(16 + 8 * i);
    return zstdDecompressSync(bytes.subarray(start, at));
  });
}

/** A stored signature, or another object of sections, with a right checksum. */
export function signatureWith(sections: readonly Buffer[], version = 4, magic = 'PanamaxS'): Buffer {
  const head = Buffer.alloc(16 + 8 * sections.length);
  head.write(magic);
  head.writeUInt32LE(version, 8);
  const stored = sections.map((section) => zstdCompressSync(section));
  for (const [i, { length }] of sections.entries()) {
    head.writeUInt32LE(stored[i]!.length, 16 + 8 * i);
    head.writeUInt32LE(length, 20 + 8 * i);
  }
  const bytes = Buffer.concat([head, ...stored]);
  bytes.writeUInt32LE(crc32(bytes.subarray(16)), 12);
  return bytes;
}
