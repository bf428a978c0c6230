import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../errors.ts';
import {
  asArray,
  asRecord,
  asSize,
  asString,
  parseDigest,
  parseDocument,
  type Digest,
} from '../oci/descriptor.ts';
import { parseImageRecord, type ImageRecord } from '../oci/record.ts';
import { SIGNATURE_VERSION } from '../store/layout.ts';
import type { FileKind, FileRecord } from './filetable.ts';
import { parseTlsh } from './tlsh.ts';

/** What pairing needs to know of an image, computed once (docs/formats.md). */
export interface Signature {
  readonly image: ImageRecord;
  /** Of all that a container sees but times: equal for images of the same content. */
  readonly contentDigest: Digest;
  /** Bytes of the regular files of the flattened image, each inode once. */
  readonly contentSize: number;
  /** TLSH of those bytes in path order; null where they are too few or too uniform for one. */
  readonly tlsh: string | null;
  readonly files: readonly FileRecord[];
}

const KINDS: readonly string[] = [
  'file',
  'directory',
  'symlink',
  'char',
  'block',
  'fifo',
] satisfies FileKind[];
const MAX_EXPANDED = 1024 ** 3;

/** As it is stored: zstd with a checksum over JSON. Paths are UTF-8 where they can be, else under `path64` in base64. */
export function serializeSignature(signature: Signature): Buffer {
  const document = {
    version: SIGNATURE_VERSION,
    ...signature,
    files: signature.files.map(({ path, ...file }) => ({ ...writtenPath(path), ...file })),
  };
  return zstdCompressSync(JSON.stringify(document), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

function writtenPath(path: string): { path: string } | { path64: string } {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? { path: text } : { path64: bytes.toString('base64') };
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parseSignature(bytes: Uint8Array, where: string): Signature {
  const record = asRecord(parseDocument(expanded(bytes, where), where), where);
  if (record['version'] !== SIGNATURE_VERSION) {
    throw new PanamaxError('bad-input', 'unknown signature version', {
      expected: SIGNATURE_VERSION,
      found: JSON.stringify(record['version']),
      where,
    });
  }
  return {
    image: parseImageRecord(record['image'], `${where} image`),
    contentDigest: parseDigest(record['contentDigest'], `${where} contentDigest`),
    contentSize: asSize(record['contentSize'], `${where} contentSize`),
    tlsh: record['tlsh'] === null ? null : checkedTlsh(asString(record['tlsh'], `${where} tlsh`)),
    files: asArray(record['files'], `${where} files`).map((value, i) =>
      parseFile(value, `${where} files[${i}]`),
    ),
  };
}

function expanded(bytes: Uint8Array, where: string): Buffer {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_EXPANDED });
  } catch (error) {
    throw new PanamaxError('bad-input', `damaged signature: ${(error as Error).message}`, { where });
  }
}

function checkedTlsh(text: string): string {
  parseTlsh(text);
  return text;
}

function parseFile(value: unknown, where: string): FileRecord {
  const record = asRecord(value, where);
  const kind = asString(record['kind'], `${where} kind`);
  if (!KINDS.includes(kind)) {
    throw new PanamaxError('bad-input', 'unknown kind of file', {
      expected: KINDS.join(' '),
      found: kind,
      where,
    });
  }
  return {
    path:
      record['path64'] === undefined
        ? Buffer.from(asString(record['path'], `${where} path`)).toString('latin1')
        : Buffer.from(asString(record['path64'], `${where} path64`), 'base64').toString('latin1'),
    kind: kind as FileKind,
    size: asSize(record['size'], `${where} size`),
    ...(kind === 'file' ? { digest: parseDigest(record['digest'], `${where} digest`) } : {}),
  };
}
