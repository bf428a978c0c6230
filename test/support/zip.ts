/** Zip archives as Java's jar writes them. */
import { crc32 } from 'node:zlib';
import { createBitWriter } from '../../lib/compression/bits.ts';
import { createZlib } from '../../lib/compression/zlib/zlib.ts';

export interface ZipFixture {
  readonly name: string;
  readonly content: Uint8Array;
  readonly isStored?: boolean;
}

export function writeZip(entries: readonly ZipFixture[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, content, isStored = false } of entries) {
    const bytes = isStored ? content : deflated(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(isStored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(bytes.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(at, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, tail, Buffer.from(name));
    const local = [Buffer.from('PK\x03\x04'), fields, Buffer.from(name), bytes];
    parts.push(...local.map((part) => Buffer.from(part)));
    at += local.reduce((sum, { length }) => sum + length, 0);
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(
    directory.reduce((sum, { length }) => sum + length, 0),
    12,
  );
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

function deflated(content: Uint8Array): Uint8Array {
  const out = createBitWriter();
  const deflater = createZlib(6, 'zlib', out);
  deflater.write(content);
  deflater.finish();
  return out.take();
}
