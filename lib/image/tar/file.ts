import { Buffer } from 'node:buffer';
import { closeSync, openSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { readUpTo } from '../../runtime/blocking.ts';
import type { TarEntry } from './entry.ts';
import { createEntryReader, refuseTruncated, type ScanOptions, type TarInput } from './reader.ts';

/** Enough for the header blocks of some small files; bodies of larger ones are jumped over. */
const WINDOW_SIZE = 32 * 1024;

/** Headers after which a thread that waits for its reads lets its event loop turn: else its heap is not watched. */
const TAKEN_AT_ONCE = 4096;

/** A range of a file that holds one tar: one layer of a layer stream. */
export interface TarRange {
  readonly path: string;
  readonly start: number;
  /** Offset behind the tar's last byte. */
  readonly end: number;
}

/** A tar in a file, of which bodies can be jumped over. */
export interface FileInput extends TarInput {
  moveTo(position: number): void;
}

/** One that makes its thread wait: without promises a small file takes half the time. */
export interface BlockingInput extends FileInput {
  /** The bytes from `start` to `end` in pieces, each valid until the next; fewer where the file ends. */
  bytes(start: number, end: number): Generator<Buffer, void, void>;
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
    yield* scanInput(fileInput(file, range), range, options);
  } finally {
    await file.close();
  }
}

/** Does the same in a thread that may wait for its reads. */
export async function* scanTarFileBlocking(
  range: TarRange,
  options: ScanOptions,
): AsyncGenerator<TarEntry, void, void> {
  const fd = openSync(range.path, 'r');
  try {
    yield* scanInput(blockingInput(fd, range, WINDOW_SIZE), range, options);
  } finally {
    closeSync(fd);
  }
}

/** Yields the entries of the tar that `input` reads. @throws PanamaxError as `scanTar` does */
export async function* scanInput(
  input: FileInput,
  range: TarRange,
  options: ScanOptions,
): AsyncGenerator<TarEntry, void, void> {
  const nextEntry = createEntryReader(input, options);
  for (let entry = await nextEntry(); entry; entry = await nextEntry()) {
    if (entry.end > range.end) {
      const place = { where: options.where, offset: entry.offset, path: entry.path };
      refuseTruncated(place, entry.end - entry.bodyOffset, range.end - entry.bodyOffset);
    }
    yield entry;
    input.moveTo(entry.end);
  }
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

/** @param windowSize what is read at once, in bytes */
export function blockingInput(fd: number, range: TarRange, windowSize: number): BlockingInput {
  let position = range.start;
  let window = Buffer.allocUnsafeSlow(windowSize);
  let windowStart = 0;
  let windowEnd = 0;

  function read(start: number, end: number): Buffer {
    if (start < windowStart || end > windowEnd) {
      if (end - start > window.length) window = Buffer.allocUnsafeSlow(end - start);
      windowStart = start;
      windowEnd = start + readUpTo(fd, window.subarray(0, Math.max(0, range.end - start)), start);
    }
    return window.subarray(start - windowStart, Math.min(end, windowEnd) - windowStart);
  }

  function take(size: number): Buffer {
    const bytes = read(position, position + size);
    position += bytes.length;
    return bytes;
  }

  let taken = 0;
  return {
    position: () => position,
    take: (size) => (++taken % TAKEN_AT_ONCE === 0 ? setImmediate().then(() => take(size)) : take(size)),
    moveTo(target) {
      position = target;
    },
    *bytes(start, end) {
      for (let at = start; at < end;) {
        const piece = read(at, Math.min(end, at + windowSize));
        if (piece.length === 0) return;
        yield piece;
        at += piece.length;
      }
    },
  };
}
