import { readSync } from 'node:fs';
import { PanamaxError } from '../errors.ts';

/** Synchronous reads, for threads that need not serve an event loop. */

/** Reads from an offset until `into` is full or the file ends. @returns the number of bytes read */
export function readUpTo(fd: number, into: Uint8Array, offset: number): number {
  let size = 0;
  while (size < into.length) {
    const got = readSync(fd, into, size, into.length - size, offset + size);
    if (got === 0) break;
    size += got;
  }
  return size;
}

/** Like `readUpTo`, for a file that is known to be long enough. @throws PanamaxError `io` if it ends earlier */
export function readExactly(fd: number, into: Uint8Array, offset: number): void {
  const size = readUpTo(fd, into, offset);
  if (size < into.length) throw shortened(offset + into.length, offset + size);
}

/** @param expected the least size of the file, in bytes */
export function shortened(expected: number, found: number): PanamaxError {
  return new PanamaxError('io', 'a file became shorter while it was read', { expected, found });
}
