import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../errors.ts';
import {
  asArray,
  asRecord,
  asSize,
  asString,
  parseDigest,
  parseVersioned,
  type Digest,
} from '../oci/descriptor.ts';
import { parseImageRecord, type ImageRecord } from '../oci/record.ts';
import type { ByteString } from '../tar/entry.ts';
import { MAX_SAMPLES, type ContentSketch } from './contentsketch.ts';
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
  /** One for each layer, bottom first. */
  readonly layers: readonly LayerSketch[];
  /** The contents of the files of all layers, each once. */
  readonly contents: readonly ContentRecord[];
}

/** What a layer adds to the layer stream, whether or not a higher layer hides it. */
export interface LayerSketch {
  /** Of the contents of its regular files in the order of the tar; null where they are too few or too uniform. */
  readonly tlsh: string | null;
  /** Entries of its tar. */
  readonly entries: number;
  /** Regular files in the order of the tar. */
  readonly files: readonly LayerFile[];
}

export interface LayerFile {
  /** As the tar has it, as bytes. */
  readonly path: ByteString;
  /** Index in `contents`. */
  readonly content: number;
}

/** A content: its samples are empty where it is short. */
export interface ContentRecord extends ContentSketch {
  readonly digest: Digest;
  readonly size: number;
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
    layers: signature.layers.map((layer) => ({
      ...layer,
      files: layer.files.map(({ path, content }) => ({ ...writtenPath(path), content })),
    })),
    contents: signature.contents.map(({ samples, ...content }) => ({
      ...content,
      samples: writtenSamples(samples),
    })),
  };
  return zstdCompressSync(JSON.stringify(document), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

function writtenPath(path: string): { path: string } | { path64: string } {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? { path: text } : { path64: bytes.toString('base64') };
}

/** Base64 of 32-bit words, the least byte first. */
function writtenSamples(samples: Uint32Array): string {
  const bytes = Buffer.alloc(samples.length * 4);
  samples.forEach((sample, i) => bytes.writeUInt32LE(sample, i * 4));
  return bytes.toString('base64');
}

/** @throws PanamaxError `bad-input` for a damaged document or one of another version */
export function parseSignature(bytes: Uint8Array, where: string): Signature {
  const record = parseVersioned(
    expanded(bytes, where),
    SIGNATURE_VERSION,
    'unknown signature version',
    where,
  );
  const contents = asArray(record['contents'], `${where} contents`).map((value, i) =>
    parseContent(value, `${where} contents[${i}]`),
  );
  return {
    image: parseImageRecord(record['image'], `${where} image`),
    contentDigest: parseDigest(record['contentDigest'], `${where} contentDigest`),
    contentSize: asSize(record['contentSize'], `${where} contentSize`),
    tlsh: parsedTlsh(record['tlsh'], `${where} tlsh`),
    files: asArray(record['files'], `${where} files`).map((value, i) =>
      parseFile(value, `${where} files[${i}]`),
    ),
    layers: asArray(record['layers'], `${where} layers`).map((value, i) => {
      const at = `${where} layers[${i}]`;
      const layer = asRecord(value, at);
      return {
        tlsh: parsedTlsh(layer['tlsh'], `${at} tlsh`),
        entries: asSize(layer['entries'], `${at} entries`),
        files: asArray(layer['files'], `${at} files`).map((file) =>
          parseLayerFile(file, contents.length, at),
        ),
      };
    }),
    contents,
  };
}

function expanded(bytes: Uint8Array, where: string): Buffer {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_EXPANDED });
  } catch (error) {
    throw new PanamaxError('bad-input', `damaged signature: ${(error as Error).message}`, { where });
  }
}

function parsedTlsh(value: unknown, where: string): string | null {
  if (value === null) return null;
  const text = asString(value, where);
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
    path: parsePath(record, where),
    kind: kind as FileKind,
    size: asSize(record['size'], `${where} size`),
    ...(kind === 'file' ? { digest: parseDigest(record['digest'], `${where} digest`) } : {}),
  };
}

function parsePath(record: Readonly<Record<string, unknown>>, where: string): ByteString {
  return record['path64'] === undefined
    ? Buffer.from(asString(record['path'], `${where} path`)).toString('latin1')
    : Buffer.from(asString(record['path64'], `${where} path64`), 'base64').toString('latin1');
}

function parseLayerFile(value: unknown, contents: number, where: string): LayerFile {
  const record = asRecord(value, where);
  const content = asSize(record['content'], `${where} content`);
  if (content >= contents) {
    throw new PanamaxError('bad-input', 'file of no content', {
      expected: `below ${contents}`,
      found: content,
      where,
    });
  }
  return { path: parsePath(record, where), content };
}

function parseContent(value: unknown, where: string): ContentRecord {
  const record = asRecord(value, where);
  const { density } = record;
  const level = asSize(record['level'], `${where} level`);
  const bytes = Buffer.from(asString(record['samples'], `${where} samples`), 'base64');
  const isSound = typeof density === 'number' && density >= 0 && density <= 1 && level < 32;
  if (!isSound || bytes.length % 4 !== 0 || bytes.length > 4 * MAX_SAMPLES) {
    throw new PanamaxError('bad-input', 'not the sketch of a content', {
      expected: `density 0 to 1, level below 32, at most ${MAX_SAMPLES} samples`,
      found: JSON.stringify({ density, level, bytes: bytes.length }),
      where,
    });
  }
  return {
    digest: parseDigest(record['digest'], `${where} digest`),
    size: asSize(record['size'], `${where} size`),
    density,
    level,
    samples: Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4)),
  };
}
