import { Buffer } from 'node:buffer';
import { open, type FileHandle } from 'node:fs/promises';
import type { TarEntry } from './entry.ts';
import { createEntryReader, refuseTruncated, type ScanOptions, type TarInput } from './reader.ts';

/** Enough for the header blocks of some small files; bodies of larger ones are jumped over. */
const WINDOW_SIZE = 32 * 1024;

/** A range of a file that holds one tar: one layer of a layer stream. */
export interface TarRange {
  readonly path: string;
  readonly start: number;
  /** Offset behind the tar's last byte. */
  readonly end: number;
}

/**
 * Reads the headers of a tar on disk and skips the bodies. The entries' offsets are those of the file, not of
 * the range.
 *
 * @throws PanamaxError as `scanTar` does
 */
export async function* scanTarFile(
  range: TarRange,
  options: ScanOptions,
): AsyncGenerator<TarEntry, void, void> {
  const file = await open(range.path);
  try {
    const input = fileInput(file, range);
    const nextEntry = createEntryReader(input, options);
    for (let entry = await nextEntry(); entry; entry = await nextEntry()) {
      if (entry.end > range.end) {
        const place = { where: options.where, offset: entry.offset, path: entry.path };
        refuseTruncated(place, entry.end - entry.bodyOffset, range.end - entry.bodyOffset);
      }
      yield entry;
      input.moveTo(entry.end);
    }
  } finally {
    await file.close();
  }
}

interface FileInput extends TarInput {
  moveTo(position: number): void;
}

function fileInput(file: FileHandle, range: TarRange): FileInput {
  let position = range.start;
  let window = Buffer.alloc(WINDOW_SIZE);
  let windowStart = 0;
  let windowSize = 0;

  async function refill(size: number): Promise<void> {
    if (size > window.length) window = Buffer.alloc(size);
    windowStart = position;
    windowSize = 0;
    const wanted = Math.min(window.length, range.end - position);
    while (windowSize < wanted) {
      const at = position + windowSize;
      const { bytesRead } = await file.read(window, windowSize, wanted - windowSize, at);
      if (bytesRead === 0) break;
      windowSize += bytesRead;
    }
  }

  async function take(size: number): Promise<Buffer> {
    if (position + size > windowStart + windowSize) await refill(size);
    const at = position - windowStart;
    const bytes = window.subarray(at, Math.min(at + size, windowSize));
    position += bytes.length;
    return bytes;
  }

  return {
    position: () => position,
    take,
    moveTo(target) {
      position = target;
    },
  };
}
