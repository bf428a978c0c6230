import type { TarEntry } from './entry.ts';

const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Bytes of a hole that are written as zeros. Of a larger hole only these are: a header of some bytes can stand for
 * terabytes of zeros.
 */
export const MAX_HOLE = 16 * 1024 ** 2;

/** The zeros that are written for a file's holes, in bytes. */
export function zerosOf({ size, sparse }: Pick<TarEntry, 'size' | 'sparse'>): number {
  if (!sparse) return 0;
  let zeros = 0;
  let at = 0;
  for (const run of [...sparse, { offset: size, size: 0 }]) {
    zeros += Math.min(run.offset - at, MAX_HOLE);
    at = run.offset + run.size;
  }
  return zeros;
}

/**
 * Expands a file's stored content: holes of a sparse file become zeros, at most `MAX_HOLE` of each.
 *
 * @param write takes the expanded content; its argument is valid only during the call
 * @param skip takes the size in bytes of the rest of a hole, which is not written
 * @returns `push`, to be called with each stored chunk in order, and `end`, to be called after the last
 */
export function createExpander(
  entry: Pick<TarEntry, 'size' | 'sparse'>,
  write: (bytes: Uint8Array) => void,
  skip: (size: number) => void,
): { push(data: Uint8Array): void; end(): void } {
  const { sparse } = entry;
  if (!sparse) return { push: write, end: () => {} };
  let at = 0;
  let run = 0;
  let usedOfRun = 0;

  function zerosTo(offset: number): void {
    const end = Math.min(offset, at + MAX_HOLE);
    for (; at < end; at += ZEROS.length) write(ZEROS.subarray(0, Math.min(ZEROS.length, end - at)));
    if (end < offset) skip(offset - end);
    at = offset;
  }

  return {
    push(data) {
      for (let used = 0; used < data.length;) {
        const { offset, size } = sparse[run]!;
        if (usedOfRun === size) {
          run++;
          usedOfRun = 0;
          continue;
        }
        zerosTo(offset + usedOfRun);
        const piece = data.subarray(used, used + size - usedOfRun);
        write(piece);
        at += piece.length;
        used += piece.length;
        usedOfRun += piece.length;
      }
    },
    end: () => zerosTo(entry.size),
  };
}
