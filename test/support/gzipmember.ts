import { createCompressor } from '../../lib/compression/compressor.ts';

/** A gzip member as GNU gzip makes it with -n: Node's own zlib makes others. */
export function gzipMember(content: string, level: number): Buffer {
  const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, level === 9 ? 2 : 0, 3]).toString('base64');
  const compressor = createCompressor({ encoder: 'gzip', level, header });
  const start = compressor.next(Buffer.from(content));
  return Buffer.concat([start, compressor.end()]);
}
