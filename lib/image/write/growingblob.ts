import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { flush, writeAll } from '../../runtime/file.ts';
import type { Descriptor } from '../oci/descriptor.ts';

const READ_SIZE = 128 * 1024;

/** A blob on disk that can be read while it is written. */
export interface GrowingBlob {
  readonly descriptor: Descriptor;
  /** Settles once the blob has its final name or has failed. */
  readonly whole: Promise<void>;
  /**
   * Reads the blob from a byte offset and follows its writer. Ends once the blob has its final name.
   *
   * @throws the writer's error, after the bytes that were written before it
   */
  read(offset?: number): AsyncIterable<Uint8Array>;
}

/**
 * Writes a blob to the file `part` and, once all bytes are there and on disk, renames it to `path`. If that fails,
 * both files are missing afterwards, or `path` is as it was.
 *
 * @param bytes fail before their last piece if they are not the blob
 * @param onBegin gets the blob to read before its first byte is there
 */
export async function growBlob(
  descriptor: Descriptor,
  bytes: AsyncIterable<Uint8Array>,
  { part, path }: { readonly part: string; readonly path: string },
  onBegin: (blob: GrowingBlob) => void,
): Promise<void> {
  const file = await open(part, 'wx+');
  let size = 0;
  // the writer and each reader hold the file; the last one closes it
  let holders = 1;
  let end: { readonly error?: unknown } | undefined;
  let change = Promise.withResolvers<void>();

  function notify(): void {
    change.resolve();
    change = Promise.withResolvers<void>();
  }

  async function release(): Promise<void> {
    holders--;
    if (holders === 0) await file.close();
  }

  async function* read(offset = 0): AsyncGenerator<Uint8Array, void, void> {
    const isOpen = holders > 0;
    if (isOpen) holders++;
    else if (end?.error !== undefined) throw end.error;
    const source = isOpen ? file : await open(path);
    try {
      for (let at = offset; ;) {
        const changed = change.promise;
        if (at < size) {
          const piece = Buffer.allocUnsafe(Math.min(READ_SIZE, size - at));
          const { bytesRead } = await source.read(piece, 0, piece.length, at);
          at += bytesRead;
          yield piece.subarray(0, bytesRead);
        } else if (end?.error !== undefined) throw end.error;
        else if (end) return;
        else await changed;
      }
    } finally {
      await (isOpen ? release() : source.close());
    }
  }

  const { promise: whole, resolve, reject } = Promise.withResolvers<void>();
  // the writer throws the error itself, also if nobody waits for `whole`
  whole.catch(() => {});
  try {
    onBegin({ descriptor, whole, read });
    for await (const piece of bytes) {
      await writeAll(file, piece);
      size += piece.length;
      notify();
    }
    await file.sync();
    await rename(part, path);
    await flush(dirname(path));
    end = {};
    resolve();
  } catch (error) {
    end = { error };
    reject(error);
    await rm(part, { force: true });
    throw error;
  } finally {
    notify();
    await release();
  }
}
