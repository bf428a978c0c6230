import { pipeline, Readable } from 'node:stream';
import { constants, createZstdDecompress } from 'node:zlib';
import { PanamaxError, toPanamaxError, withPlace } from '../../../../errors.ts';
import { splitFrames } from '../../../../image/zstdframes.ts';
import type { ByteString } from '../../../../image/tar/entry.ts';
import { PatchReader } from '../../../patchreader.ts';
import type { RandomAccess } from '../../../randomaccess.ts';
import {
  ADD_DATA,
  COPY,
  DATA,
  MAGIC,
  MAX_ADD_SIZE,
  MAX_PATH_SIZE,
  MAX_WINDOW_LOG,
  OPEN,
  SEEK,
} from './format.ts';

/** Opens a regular file of the unpacked source image by its clean path; undefined without such a file. */
export type OpenSource = (path: ByteString) => RandomAccess | undefined;

export interface DecodeOptions {
  /** Size of the result at most, in bytes. */
  readonly maxSize: number;
  /** Names the patch in errors. */
  readonly where: string;
  readonly signal?: AbortSignal;
}

const PIECE_SIZE = 128 * 1024;
/** Bytes of operations that build nothing: paths and sizes may make a patch longer than its result. */
const SPARE_OPERATIONS = 1024 ** 2;

/**
 * Applies a tar-diff of this or another program and yields the layer, not verified. Each piece is valid until the next
 * one is requested. Memory is bounded by zstd's window of at most 32 MiB and some buffers for any patch.
 *
 * @throws PanamaxError `bad-patch` for a damaged patch, or one that reads beyond a source file; `limit` for one that
 *   builds more than `maxSize`
 */
export async function* decodeTarDiff(
  patch: AsyncIterable<Uint8Array>,
  openSource: OpenSource,
  options: DecodeOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const { maxSize, where, signal } = options;
  const reader = new PatchReader(operations(patch, options));
  /** Gathers the output, because most operations build a few bytes. */
  const piece = new Uint8Array(PIECE_SIZE);
  const added = new Uint8Array(PIECE_SIZE);
  let filled = 0;
  let file: RandomAccess | undefined;
  let position = 0;
  let built = 0;

  /** The current file, checked to have `size` more bytes. */
  function sourceOf(size: number): RandomAccess {
    if (!file) throw bad('reads before it opens a file', where);
    if (size > file.size - position) {
      throw bad('reads beyond the end of a source file', where, file.size, position + size);
    }
    return file;
  }

  function build(size: number): void {
    built += size;
    if (built > maxSize) {
      throw new PanamaxError('limit', 'patch builds more than it should', {
        expected: `at most ${maxSize} bytes`,
        found: 'more',
        where,
      });
    }
  }

  /** The next free bytes of the piece, at most `size`. The caller yields the piece when it is full. */
  function room(size: number): Uint8Array {
    const start = filled;
    filled = Math.min(PIECE_SIZE, filled + size);
    return piece.subarray(start, filled);
  }

  try {
    while ((await reader.fill(16)) > 0) {
      signal?.throwIfAborted();
      const code = reader.byte();
      const size = readSize(reader, where);
      switch (code) {
        case DATA:
          build(size);
          for (let left = size; left > 0;) {
            const part = room(left);
            await reader.readInto(part);
            left -= part.length;
            if (filled === PIECE_SIZE) yield piece;
            filled %= PIECE_SIZE;
          }
          break;
        case OPEN: {
          if (size > MAX_PATH_SIZE) throw bad('has too long a path', where, MAX_PATH_SIZE, size);
          const path = cleanPath(Buffer.from(await reader.take(size)).toString('latin1'));
          file = openSource(path);
          if (!file) throw bad('opens a file that the source lacks', where, undefined, path);
          position = 0;
          break;
        }
        case COPY:
        case ADD_DATA: {
          if (code === ADD_DATA && size > MAX_ADD_SIZE) {
            throw bad('has too long a difference', where, MAX_ADD_SIZE, size);
          }
          const source = sourceOf(size);
          build(size);
          for (const end = position + size; position < end;) {
            const part = room(end - position);
            await source.read(part, position);
            if (code === ADD_DATA) {
              const differences = added.subarray(0, part.length);
              await reader.readInto(differences);
              for (let i = 0; i < part.length; i++) part[i]! += differences[i]!;
            }
            position += part.length;
            if (filled === PIECE_SIZE) yield piece;
            filled %= PIECE_SIZE;
          }
          break;
        }
        case SEEK:
          if (!file) throw bad('seeks before it opens a file', where);
          if (size > file.size) throw bad('seeks beyond the end of a source file', where, file.size, size);
          position = size;
          break;
        default:
          throw bad('has an unknown operation', where, 'an opcode from 0 to 4', code);
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (/^(Z_|ZSTD_|ERR_ZLIB)/.test(code)) throw bad(`is damaged: ${message}`, where);
    if (error instanceof PanamaxError && error.kind === 'bad-input') throw bad(error.message, where);
    throw toPanamaxError(withPlace(error, where), where);
  } finally {
    await reader.close();
  }
}

/** Checks the magic and yields the operations behind it, decompressed. */
async function* operations(
  patch: AsyncIterable<Uint8Array>,
  { maxSize, where }: DecodeOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = new PatchReader(patch);
  const magic =
    (await reader.fill(MAGIC.length)) < MAGIC.length ? undefined : await reader.take(MAGIC.length);
  if (!magic || Buffer.compare(magic, MAGIC) !== 0) throw bad('is no tar-diff of version 1', where);
  async function* rest() {
    for (let size = await reader.fill(1); size > 0; size = await reader.fill(1)) yield reader.take(size);
  }
  let failure: unknown;
  const output = pipeline(
    Readable.from(splitFrames(rest(), where)),
    createZstdDecompress({
      chunkSize: PIECE_SIZE,
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    }),
    (error) => {
      failure = error;
    },
  );
  let size = 0;
  try {
    for await (const piece of output as AsyncIterable<Uint8Array>) {
      size += piece.length;
      if (size > 2 * maxSize + SPARE_OPERATIONS) throw bad('has more operations than it can need', where);
      yield piece;
    }
  } catch (error) {
    throw failure ?? error;
  }
}

/** LEB128 up to 2^53 - 1, the largest exact integer. */
function readSize(reader: PatchReader, where: string): number {
  let size = 0;
  let factor = 1;
  for (let bytes = 0; bytes < 10; bytes++) {
    const byte = reader.byte();
    size += (byte & 0x7f) * factor;
    if (size > Number.MAX_SAFE_INTEGER) break;
    if (byte < 0x80) return size;
    factor *= 0x80;
  }
  throw bad('has too large a size', where);
}

/** As tar-diff cleans paths: lexically, below a root that `..` does not leave. */
function cleanPath(path: ByteString): ByteString {
  const names: ByteString[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return names.join('/');
}

function bad(what: string, where: string, expected?: string | number, found?: string | number): PanamaxError {
  return new PanamaxError('bad-patch', `the patch ${what}`, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    where,
  });
}
