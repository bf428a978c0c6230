import { open, type FileHandle } from 'node:fs/promises';
import { writeAll } from '../../runtime/file.ts';

const READ_SIZE = 128 * 1024;

/** A file that is read while it is written. The writer ends it by `finish` or `fail`, and then calls `release`. */
export interface GrowingFile {
  append(piece: Uint8Array): Promise<void>;
  /** Lets readers end behind the last byte. */
  finish(): void;
  /** Lets readers fail behind the last byte. */
  fail(error: unknown): void;
  /**
   * Reads from a byte offset and follows the writer.
   *
   * @throws the writer's error, after the bytes that were written before it
   */
  read(offset?: number): AsyncGenerator<Uint8Array, void, void>;
  /** The writer and each reader hold the file; the last one closes it. */
  release(): Promise<void>;
}

/** @param path of the finished file, for readers that begin once it is closed */
export function growingFile(file: FileHandle, path: string): GrowingFile {
  let size = 0;
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

  return {
    async append(piece) {
      await writeAll(file, piece);
      size += piece.length;
      notify();
    },
    finish() {
      end = {};
      notify();
    },
    fail(error) {
      end = { error };
      notify();
    },
    release,
    async *read(offset = 0) {
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
    },
  };
}
