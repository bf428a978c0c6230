import type { TarEntry } from './entry.ts';

const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Turns a file's stored content into what a reader of the file sees: holes of a sparse file become zeros.
 *
 * @returns `push` for each stored piece in order, `end` after the last; both call `write` with pieces that are
 *   valid only during the call
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
