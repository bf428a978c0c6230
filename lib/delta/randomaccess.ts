import type { FileHandle } from 'node:fs/promises';
import { shortened } from '../runtime/blocking.ts';
import type { Space } from '../runtime/space.ts';

/** A file, or bytes in its place, that can be read at any offset. */
export interface RandomAccess {
  /** In bytes. */
  readonly size: number;
  /** Fills `into` from `position` on; throws if the file ends before. */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** The caller owns the handle, which has to stay open while it is read. */
export async function fileAccess(file: FileHandle): Promise<RandomAccess> {
  const { size } = await file.stat();
  return {
    size,
    async read(into, position) {
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await file.read(into, done, into.length - done, position + done);
        if (bytesRead === 0) throw shortened(position + into.length, position + done);
        done += bytesRead;
      }
    },
  };
}

/** Blocking reads, for threads that may wait: small reads take a tenth of the time of `fileAccess`. */
export function blockingAccess(space: Space): RandomAccess {
  const done = Promise.resolve();
  return {
    size: space.size,
    read(into, position) {
      space.read(into, position);
      return done;
    },
  };
}

const PAGE_SIZE = 32 * 1024;
const PAGES = 64;

/**
 * Caches the pages read last (2 MiB) for a reader of many small pieces in random order. A read has to end before the
 * next one begins.
 */
export function pagedAccess(access: RandomAccess): RandomAccess {
  const memory = new Uint8Array(PAGES * PAGE_SIZE);
  const held = new Float64Array(PAGES).fill(-1);
  return {
    size: access.size,
    async read(into, position) {
      if (into.length > PAGE_SIZE) return access.read(into, position);
      for (let done = 0; done < into.length;) {
        const page = Math.floor((position + done) / PAGE_SIZE);
        const slot = page % PAGES;
        const bytes = memory.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE);
        const start = page * PAGE_SIZE;
        if (held[slot] !== page) {
          held[slot] = -1;
          await access.read(bytes.subarray(0, Math.min(PAGE_SIZE, access.size - start)), start);
          held[slot] = page;
        }
        const from = position + done - start;
        const part = bytes.subarray(from, from + into.length - done);
        into.set(part, done);
        done += part.length;
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
