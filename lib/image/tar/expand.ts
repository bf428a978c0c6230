import type { TarEntry } from './entry.ts';

const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Expands a file's stored content: holes of a sparse file become zeros.
 *
 * @param write takes the expanded content; its argument is valid only during the call
 * @returns `push`, to be called with each stored chunk in order, and `end`, to be called after the last
 */
export function createExpander(
  entry: Pick<TarEntry, 'size' | 'sparse'>,
  write: (bytes: Uint8Array) => void,
): { push(data: Uint8Array): void; end(): void } {
  const { sparse } = entry;
  if (!sparse) return { push: write, end: () => {} };
  let at = 0;
  let run = 0;
  let usedOfRun = 0;

  function zerosTo(offset: number): void {
    for (; at < offset; at += ZEROS.length) write(ZEROS.subarray(0, Math.min(ZEROS.length, offset - at)));
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
