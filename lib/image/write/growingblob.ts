import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { flush } from '../../runtime/file.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { growingFile, type GrowingFile } from './growingfile.ts';

/** A blob on disk that can be read while it is written. */
export interface GrowingBlob {
  readonly descriptor: Descriptor;
  /** Settles once the blob has its final name or has failed. */
  readonly whole: Promise<void>;
  /** Reads the blob as `GrowingFile.read` does. Ends once the blob has its final name. */
  readonly read: GrowingFile['read'];
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
  const growing = growingFile(file, path);
  const { promise: whole, resolve, reject } = Promise.withResolvers<void>();
  // the writer throws the error itself, also if nobody waits for `whole`
  whole.catch(() => {});
  try {
    onBegin({ descriptor, whole, read: (offset) => growing.read(offset) });
    for await (const piece of bytes) await growing.append(piece);
    await file.sync();
    await rename(part, path);
    await flush(dirname(path));
    growing.finish();
    resolve();
  } catch (error) {
    reject(error);
    await rm(part, { force: true });
    growing.fail(error);
    throw error;
  } finally {
    await growing.release();
  }
}
