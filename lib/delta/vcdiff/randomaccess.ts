import type { FileHandle } from 'node:fs/promises';
import { PanamaxError } from '../../errors.ts';

/** A file, or what stands in for one, that is read at any offset. */
export interface RandomAccess {
  /** In bytes. */
  readonly size: number;
  /** Fills `into` from `position` on; throws when there is less. */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** The caller keeps the handle open as long as it reads, and closes it. */
export async function fileAccess(file: FileHandle): Promise<RandomAccess> {
  const { size } = await file.stat();
  return {
    size,
    async read(into, position) {
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await file.read(into, done, into.length - done, position + done);
        if (bytesRead === 0) {
          throw new PanamaxError('io', 'a file became shorter while it was read', {
            expected: position + into.length,
            found: position + done,
          });
        }
        done += bytesRead;
      }
    },
  };
}

export function memoryAccess(bytes: Uint8Array): RandomAccess {
  return {
    size: bytes.length,
    read(into, position) {
      into.set(bytes.subarray(position, position + into.length));
      return Promise.resolve();
    },
  };
}
