import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PanamaxError } from '../../errors.ts';

const READ_SIZE = 64 * 1024;
/** Time between two looks at a file that has not grown, in milliseconds. */
const LOOK_EVERY = 50;

/**
 * Reads a file from its start while it is written, each time that the result is called. The file may not exist yet.
 *
 * @param written settles when the last byte is there, or when none follows
 * @throws the error of `written`, after the bytes that are there; PanamaxError `io` if the file becomes shorter; the
 *   signal's reason
 */
export function followFile(
  path: string,
  written: Promise<unknown>,
  signal: AbortSignal,
): () => AsyncGenerator<Uint8Array, void, void> {
  let end: { readonly error?: unknown } | undefined;
  written.then(
    () => (end = {}),
    (error: unknown) => (end = { error }),
  );
  return async function* () {
    let file: FileHandle | undefined;
    try {
      for (let at = 0; ;) {
        signal.throwIfAborted();
        // the end is read first: then this read finds all bytes that were written before it
        const ended = end;
        file ??= await open(path).catch(unlessMissing);
        const piece = Buffer.allocUnsafe(READ_SIZE);
        const size = file ? (await file.read(piece, 0, READ_SIZE, at)).bytesRead : 0;
        if (size > 0) {
          at += size;
          yield piece.subarray(0, size);
          continue;
        }
        if (file && (await file.stat()).size < at)
          throw new PanamaxError('io', 'a file begins anew', { where: path });
        if (ended && 'error' in ended) throw ended.error;
        if (ended) return;
        await delay(LOOK_EVERY);
      }
    } finally {
      await file?.close();
    }
  };
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
