import { readSync } from 'node:fs';
import { PanamaxError } from '../errors.ts';

/** Reads of threads that may wait. */

/** Fills `into` from an offset of a file on; returns how many bytes there are, fewer where the file ends. */
export function readUpTo(fd: number, into: Uint8Array, offset: number): number {
  let size = 0;
  while (size < into.length) {
    const got = readSync(fd, into, size, into.length - size, offset + size);
    if (got === 0) break;
    size += got;
  }
  return size;
}

/** @throws PanamaxError `io` where the file ends before that */
export function readExactly(fd: number, into: Uint8Array, offset: number): void {
  const size = readUpTo(fd, into, offset);
  if (size < into.length) throw shortened(offset + into.length, offset + size);
}

/** @param expected bytes of a file, at least */
export function shortened(expected: number, found: number): PanamaxError {
  return new PanamaxError('io', 'a file became shorter while it was read', { expected, found });
}
