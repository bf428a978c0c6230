import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf, type Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { checkDocumentSize } from '../json.ts';
import type { Limits } from '../limits.ts';
import { makeDirectories, replaceFile, statIfThere, writeChunks } from '../runtime/file.ts';
import type { Archive } from './archive.ts';
import { type Descriptor } from './oci/descriptor.ts';

/** A source of blobs: a layout directory, an archive, a registry. */
export interface BlobSource {
  /** Names the source in errors. */
  readonly where: string;
  /** The blob's bytes, unverified. @throws PanamaxError `not-found` */
  open(digest: Digest): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array>>;
}

const READ_SIZE = 131072;

/** Blobs of an OCI layout directory (OCI image-spec, image-layout.md). */
export function directoryBlobs(directory: string): BlobSource {
  return {
    where: directory,
    async open(digest) {
      const path = join(directory, 'blobs', 'sha256', hexOf(digest));
      const info = await statIfThere(path);
      if (!info?.isFile()) throw missing(digest, directory);
      return createReadStream(path, { highWaterMark: READ_SIZE });
    },
  };
}

/** Blobs of an archive whose entries are named like the files of an OCI layout. */
export function archiveBlobs(archive: Archive): BlobSource {
  return {
    where: archive.path,
    async open(digest) {
      const name = `blobs/sha256/${hexOf(digest)}`;
      if (!archive.has(name)) throw missing(digest, archive.path);
      return archive.open(name);
    },
  };
}

/** Caches the blobs of a source in a directory: each is fetched once, verified and read from there. */
export function keptBlobs(source: BlobSource, directory: string): BlobSource {
  return {
    where: source.where,
    async open(digest) {
      const path = join(directory, keptName(digest));
      for (;;) {
        const kept = await openKept(path);
        // an open file stays readable if another process evicts it from the cache
        if (kept) return kept.createReadStream({ highWaterMark: READ_SIZE });
        const bytes = verified(await source.open(digest), { digest }, `${source.where} ${digest}`);
        await makeDirectories(directory);
        await replaceFile(path, (part) => writeChunks(part, bytes));
      }
    },
  };
}

async function openKept(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** File name of a cached blob. */
export function keptName(digest: Digest): string {
  return `blob-${hexOf(digest)}`;
}

export function missing(digest: Digest, where: string): PanamaxError {
  return new PanamaxError('not-found', 'missing blob', { expected: digest, where });
}

/**
 * Yields a blob's chunks and hashes them. The last chunk is held back until size and digest have been compared, so the
 * blob is verified once the stream has been read to its end.
 *
 * @throws PanamaxError `bad-input` if size or digest differ
 */
export async function* verified(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected: { readonly digest: Digest; readonly size?: number },
  where: string,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let size = 0;
  let held: Uint8Array | undefined;
  try {
    for await (const chunk of chunks) {
      size += chunk.length;
      if (expected.size !== undefined && size > expected.size)
        throw wrongSize(expected, `over ${expected.size}`, where);
      hash.update(chunk);
      if (held) yield held;
      held = chunk;
    }
  } catch (error) {
    throw toPanamaxError(error, where);
  }
  if (expected.size !== undefined && size !== expected.size) throw wrongSize(expected, size, where);
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== expected.digest) {
    throw new PanamaxError('bad-input', 'digest mismatch', {
      expected: expected.digest,
      found: digest,
      where,
    });
  }
  if (held) yield held;
}

function wrongSize(
  { digest, size }: { digest: Digest; size?: number },
  found: string | number,
  where: string,
) {
  return new PanamaxError('bad-input', 'size mismatch', {
    expected: `${size} bytes`,
    found: `${found} bytes`,
    where: `${where} ${digest}`,
  });
}

/** Reads a JSON blob into memory and verifies it. @throws PanamaxError `limit` over `maxDocumentSize`, `bad-input` */
export async function readDocument(
  source: BlobSource,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  limits: Limits,
): Promise<Buffer> {
  const where = `${source.where} ${descriptor.digest}`;
  checkDocumentSize(descriptor.size, limits, where);
  const pieces: Uint8Array[] = [];
  for await (const piece of verified(await source.open(descriptor.digest), descriptor, where)) {
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
