import { createReadStream } from 'node:fs';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { provenBlob } from '../compression/recompress.ts';
import { hexOf, type Digest } from '../digest.ts';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import { growBlob, type GrowingBlob } from '../image/write/growingblob.ts';
import { isMissingFile, makeDirectories, partIn, replaceFile, sweepParts } from '../runtime/file.ts';
import { digestOfFile } from '../runtime/filedigest.ts';

/** Digest and size of a blob. */
export interface Blob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

/** The blobs of a mirror, in files named by their digests. A blob has its name once it is whole and proven. */
export interface BlobCache {
  /** Holds the files `sha256/HEX`. */
  readonly directory: string;
  /** Sizes of the blobs that are held, in bytes. */
  readonly held: ReadonlyMap<Digest, number>;
  /** Whether the blob is held or being written. */
  isThere(digest: Digest): boolean;
  /** Writes a small blob whose digest the caller has compared. */
  put(digest: Digest, bytes: Uint8Array): Promise<void>;
  /**
   * Writes a blob that others may read meanwhile. To be called for a blob that is not there.
   *
   * @throws PanamaxError `bad-patch` if the bytes are not the blob; their own errors and those of the file system
   */
  write(blob: Blob, bytes: AsyncIterable<Uint8Array>): Promise<void>;
  /** Announces blobs that will be written: readers wait for them instead of fetching them. */
  expect(digests: Iterable<Digest>): Expectation;
  /**
   * Reads a blob from an offset, while it is written or after.
   *
   * @param fetch gets the blob if it is neither there nor expected; called once for all readers
   */
  read(blob: Blob, start: number, fetch: () => AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  remove(digest: Digest): Promise<void>;
}

export interface Expectation {
  /** Takes back the announcement of some blobs; by default of all that are left. */
  drop(digests?: Iterable<Digest>): void;
}

const READ_SIZE = 128 * 1024;

/** @param onUnreadable called for a file that exists and cannot be read */
export async function openBlobCache(
  directory: string,
  onUnreadable: (failure: PanamaxError) => void = () => {},
): Promise<BlobCache> {
  const blobs = join(directory, 'sha256');
  const held = new Map<Digest, number>();
  /** Blobs whose files this process has written or compared. */
  const proven = new Map<Digest, Promise<boolean>>();
  const growing = new Map<Digest, Promise<GrowingBlob>>();
  const expected = new Map<Digest, PromiseWithResolvers<void>>();
  const pathOf = (digest: Digest) => join(blobs, hexOf(digest));

  await makeDirectories(blobs, 0o700);
  await sweepParts(blobs);
  for (const name of await readdir(blobs)) {
    if (/^[0-9a-f]{64}$/.test(name)) held.set(`sha256:${name}`, (await stat(join(blobs, name))).size);
  }

  function add({ digest, size }: Blob): void {
    held.set(digest, size);
    proven.set(digest, Promise.resolve(true));
    settle(digest);
  }

  /** Lets readers that wait for an expected blob look again. */
  function settle(digest: Digest): void {
    expected.get(digest)?.resolve();
    expected.delete(digest);
  }

  /**
   * Whether the file still has the digest that its name says. A damaged file is removed, and so is one on a broken
   * part of the disk, which is reported.
   *
   * @throws PanamaxError `io` for a file that cannot be read now; it stays, and is compared again the next time
   */
  function isSound(digest: Digest): Promise<boolean> {
    const path = pathOf(digest);
    const compare = async () => {
      const found = await digestOfFile(path).catch((error: unknown) => {
        if (isMissingFile(error)) return undefined;
        const failure = toPanamaxError(error, path);
        onUnreadable(failure);
        if ((error as NodeJS.ErrnoException).code === 'EIO') return undefined;
        proven.delete(digest);
        throw failure;
      });
      if (found !== digest) await remove(digest);
      return found === digest;
    };
    const known = proven.get(digest) ?? compare();
    proven.set(digest, known);
    return known;
  }

  async function remove(digest: Digest): Promise<void> {
    held.delete(digest);
    proven.delete(digest);
    await rm(pathOf(digest), { force: true });
  }

  async function write(blob: Blob, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { digest, size } = blob;
    const begun = Promise.withResolvers<GrowingBlob>();
    // readers get the error themselves
    begun.promise.catch(() => {});
    growing.set(digest, begun.promise);
    settle(digest);
    try {
      const files = { part: partIn(blobs), path: pathOf(digest) };
      const descriptor = { mediaType: '', digest, size };
      await growBlob(descriptor, provenBlob(bytes, blob), files, begun.resolve);
      add(blob);
    } catch (error) {
      begun.reject(error);
      throw error;
    } finally {
      growing.delete(digest);
    }
  }

  return {
    directory,
    held,
    write,
    remove,
    isThere: (digest) => held.has(digest) || growing.has(digest),

    async put(digest, bytes) {
      await replaceFile(pathOf(digest), (part) => writeFile(part, bytes));
      add({ digest, size: bytes.length });
    },

    expect(digests) {
      const own = new Map<Digest, PromiseWithResolvers<void>>();
      for (const digest of digests) {
        if (held.has(digest) || growing.has(digest) || expected.has(digest)) continue;
        const announced = Promise.withResolvers<void>();
        expected.set(digest, announced);
        own.set(digest, announced);
      }
      return {
        drop(dropped = own.keys()) {
          for (const digest of dropped) {
            const announced = own.get(digest);
            if (announced && expected.get(digest) === announced) expected.delete(digest);
            announced?.resolve();
          }
        },
      };
    },

    async *read(blob, start, fetch) {
      const { digest, size } = blob;
      for (;;) {
        const written = growing.get(digest);
        const announced = expected.get(digest);
        if (held.has(digest)) {
          if (held.get(digest) !== size) throw wrongSize(blob, held.get(digest)!);
          if (!(await isSound(digest))) continue;
          if (start < size) yield* readFrom(pathOf(digest), start);
          return;
        }
        if (written) {
          yield* (await written).read(start);
          return;
        }
        if (announced) await announced.promise;
        // readers of the growing blob get the error
        else void write(blob, fetch()).catch(() => {});
      }
    },
  };
}

/** @throws PanamaxError `io` */
async function* readFrom(path: string, start: number): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* createReadStream(path, { start, highWaterMark: READ_SIZE });
  } catch (error) {
    throw toPanamaxError(error, path);
  }
}

/** The size that a manifest names is not that of the blob with this digest. */
function wrongSize({ digest, size }: Blob, found: number): PanamaxError {
  return new PanamaxError('bad-input', 'size mismatch', { expected: size, found, where: digest });
}
