import { parseDigest, type Digest } from '../../digest.ts';
import { asArray, asRecord, asSize, asString, checkedVersion } from '../../json.ts';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { PanamaxError } from '../../errors.ts';
import { parseImageRecord, type ImageRecord } from '../../image/record.ts';
import { SIGNATURE_VERSION } from '../../store/keys.ts';
import type { ByteString } from '../../image/tar/entry.ts';
import { textAt, textColumn, wordsColumn, type Texts } from '../../runtime/column.ts';
import { contentAt, contentCount, createContents, type ContentRecord, type Contents } from './contents.ts';
import { MAX_SAMPLES } from './contentsketch.ts';
import { digestBytes } from './digestset.ts';
import {
  createFileTable,
  FILE_KINDS,
  fileRecords,
  type FileKind,
  type FileRecord,
  type FileTable,
} from './filetable.ts';
import { readRows } from './rows.ts';
import { parseTlsh } from './tlsh.ts';

/** The data about an image that pairing needs, computed once per image (docs/formats.md). */
export interface Signature {
  readonly image: ImageRecord;
  /** Digest over the flattened image without times: equal for images of the same content. */
  readonly contentDigest: Digest;
  /** Bytes of the regular files of the flattened image; hardlinked files count once. */
  readonly contentSize: number;
  /** TLSH of those files in path order; null if they are too small or too uniform. */
  readonly tlsh: string | null;
  readonly files: FileTable;
  /** Bottom layer first. */
  readonly layers: readonly LayerTable[];
  /** The distinct contents of the files of all layers. */
  readonly contents: Contents;
}

/** The files of one layer's tar, including those that a higher layer hides. */
export interface LayerTable {
  /** TLSH of the regular files in the order of the tar; null if they are too small or too uniform. */
  readonly tlsh: string | null;
  /** Number of entries in the tar. */
  readonly entries: number;
  readonly files: LayerFiles;
}

/** The regular files of a layer in the order of the tar. */
export interface LayerFiles {
  /** Byte strings as in the tar. */
  readonly paths: Texts;
  /** For each file the index of its content in the signature's `contents`. */
  readonly contents: Uint32Array;
}

const MAX_EXPANDED = 1024 ** 3;

/** The stored form: JSON, compressed by zstd with a checksum. Paths that are not UTF-8 are base64 under `path64`. */
export async function serializeSignature(signature: Signature): Promise<Buffer> {
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  return pipeline(inPieces(written(signature)), compress, (stored) => buffer(stored));
}

/** Least number of characters per piece handed to the compressor. */
const PIECE = 256 * 1024;

function* inPieces(texts: Iterable<string>): Generator<Buffer, void, void> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  yield Buffer.from(piece);
}

/** The document as text, row by row, so that only one row at a time exists as an object. */
function* written(signature: Signature): Generator<string, void, void> {
  const { image, contentDigest, contentSize, files, tlsh, layers, contents } = signature;
  const head = JSON.stringify({ version: SIGNATURE_VERSION, image, contentDigest, contentSize, tlsh });
  yield `${head.slice(0, -1)},"files":`;
  yield* writtenRows(fileRecords(files).map(({ path, ...file }) => ({ ...writtenPath(path), ...file })));
  yield ',"layers":[';
  for (const [i, { files: rows, ...layer }] of layers.entries()) {
    yield `${i === 0 ? '' : ','}${JSON.stringify(layer).slice(0, -1)},"files":`;
    const { paths } = rows;
    yield* writtenRows(
      rows.contents
        .keys()
        .map((row) => ({ ...writtenPath(textAt(paths, row)), content: rows.contents[row] })),
    );
    yield '}';
  }
  yield '],"contents":';
  yield* writtenRows(
    contents.sizes.keys().map((i) => {
      const { samples, ...content } = contentAt(contents, i);
      return { ...content, samples: writtenSamples(samples) };
    }),
  );
  yield '}';
}

function* writtenRows(rows: Iterable<object>): Generator<string, void, void> {
  let before = '[';
  for (const row of rows) {
    yield before + JSON.stringify(row);
    before = ',';
  }
  yield before === '[' ? '[]' : ']';
}

function writtenPath(path: string): { path: string } | { path64: string } {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? { path: text } : { path64: bytes.toString('base64') };
}

/** Base64 of little-endian 32-bit words. */
function writtenSamples(samples: Uint32Array): string {
  const bytes = Buffer.alloc(samples.length * 4);
  samples.forEach((sample, i) => bytes.writeUInt32LE(sample, i * 4));
  return bytes.toString('base64');
}

/**
 * Reads a stored signature. Rows are parsed in batches, so that the document never exists as a whole.
 *
 * @throws PanamaxError `bad-input` for a damaged document or one of another version
 */
export async function parseSignature(bytes: Uint8Array, where: string): Promise<Signature> {
  const files = createFileTable();
  const contents = createContents();
  const layers: ReturnType<typeof createLayerFiles>[] = [];
  const take: Readonly<Record<string, (row: unknown, layer: number) => void>> = {
    files(row) {
      const { path, kind, size, digest } = parseFile(row, `${where} files`);
      files.add(path, kind, size, digest && digestBytes(digest));
    },
    contents(row) {
      const { digest, size, ...sketch } = parseContent(row, `${where} contents`);
      if (contents.add(digestBytes(digest), size, sketch) !== contents.length - 1)
        throw new PanamaxError('bad-input', 'duplicate content', { found: digest, where });
    },
    'layers.files': (row, layer) =>
      (layers[layer] ??= createLayerFiles()).add(row, `${where} layers[${layer}]`),
  };
  const document = await readRows(expanded(bytes, where), take, where);
  const record = checkedVersion(document, SIGNATURE_VERSION, 'unknown signature version', where);
  const known = contents.finish();
  return {
    image: parseImageRecord(record['image'], `${where} image`),
    contentDigest: parseDigest(record['contentDigest'], `${where} contentDigest`),
    contentSize: asSize(record['contentSize'], `${where} contentSize`),
    tlsh: parsedTlsh(record['tlsh'], `${where} tlsh`),
    files: files.finish(),
    layers: asArray(record['layers'], `${where} layers`).map((value, i) => {
      const at = `${where} layers[${i}]`;
      const layer = asRecord(value, at);
      return {
        tlsh: parsedTlsh(layer['tlsh'], `${at} tlsh`),
        entries: asSize(layer['entries'], `${at} entries`),
        files: (layers[i] ?? createLayerFiles()).finish(contentCount(known), at),
      };
    }),
    contents: known,
  };
}

async function* expanded(bytes: Uint8Array, where: string): AsyncGenerator<Buffer, void, void> {
  const decompress = createZstdDecompress();
  try {
    let size = 0;
    // small pieces, since the decompressor expands a whole piece before the reader can take any of it
    const stored = Readable.from(sliced(bytes), { objectMode: false, highWaterMark: STORED_PIECE });
    stored.pipe(decompress);
    for await (const piece of decompress as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > MAX_EXPANDED) throw new RangeError(`it expands to more than ${MAX_EXPANDED} bytes`);
      yield piece;
    }
  } catch (error) {
    if (error instanceof PanamaxError) throw error;
    throw new PanamaxError('bad-input', `damaged signature: ${(error as Error).message}`, { where });
  } finally {
    decompress.destroy();
  }
}

const STORED_PIECE = 64 * 1024;

function* sliced(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += STORED_PIECE) yield bytes.subarray(at, at + STORED_PIECE);
}

function createLayerFiles() {
  const paths = textColumn();
  const numbers = wordsColumn();
  return {
    add(row: unknown, where: string): void {
      const record = asRecord(row, where);
      const content = asSize(record['content'], `${where} content`);
      checkContent(content, 2 ** 32, where);
      paths.push(parsePath(record, where));
      numbers.push(content);
    },
    finish(count: number, where: string): LayerFiles {
      const contents = numbers.finish();
      for (const content of contents) checkContent(content, count, where);
      return { paths: paths.finish(), contents };
    },
  };
}

function checkContent(content: number, count: number, where: string): void {
  if (content < count) return;
  throw new PanamaxError('bad-input', 'index of a content out of range', {
    expected: `below ${count}`,
    found: content,
    where,
  });
}

function parsedTlsh(value: unknown, where: string): string | null {
  if (value === null) return null;
  const text = asString(value, where);
  parseTlsh(text, where);
  return text;
}

function parseFile(value: unknown, where: string): FileRecord {
  const record = asRecord(value, where);
  const kind = asString(record['kind'], `${where} kind`);
  if (!isKind(kind)) {
    throw new PanamaxError('bad-input', 'unknown file kind', {
      expected: FILE_KINDS.join(' '),
      found: kind,
      where,
    });
  }
  return {
    path: parsePath(record, where),
    kind,
    size: asSize(record['size'], `${where} size`),
    ...(kind === 'file' ? { digest: parseDigest(record['digest'], `${where} digest`) } : {}),
  };
}

function isKind(kind: string): kind is FileKind {
  return (FILE_KINDS as readonly string[]).includes(kind);
}

function parsePath(record: Readonly<Record<string, unknown>>, where: string): ByteString {
  return record['path64'] === undefined
    ? Buffer.from(asString(record['path'], `${where} path`)).toString('latin1')
    : Buffer.from(asString(record['path64'], `${where} path64`), 'base64').toString('latin1');
}

function parseContent(value: unknown, where: string): ContentRecord {
  const record = asRecord(value, where);
  const { density } = record;
  const level = asSize(record['level'], `${where} level`);
  const bytes = Buffer.from(asString(record['samples'], `${where} samples`), 'base64');
  const isSound = typeof density === 'number' && density >= 0 && density <= 1 && level < 32;
  if (!isSound || bytes.length % 4 !== 0 || bytes.length > 4 * MAX_SAMPLES) {
    throw new PanamaxError('bad-input', 'not a content sketch', {
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
