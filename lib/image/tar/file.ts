import { Buffer } from 'node:buffer';
import { closeSync, openSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { readUpTo } from '../../runtime/blocking.ts';
import type { TarEntry } from './entry.ts';
import { createEntryReader, refuseTruncated, type ScanOptions, type TarInput } from './reader.ts';

/** Bytes per read: enough for the headers of some small files. Bodies of larger files are skipped. */
const WINDOW_SIZE = 32 * 1024;

/** Reads after which a blocking input yields to the event loop, which watches the thread's heap. */
const READS_PER_TURN = 4096;

/** The range of one tar in a file, such as a layer in a layer stream. */
export interface TarRange {
  readonly path: string;
  readonly start: number;
  /** Offset after the tar's last byte. */
  readonly end: number;
}

/** A tar in a file, which can skip bodies. */
export interface FileInput extends TarInput {
  moveTo(position: number): void;
}

/** Reads synchronously. Without promises a small file takes half the time. */
export interface BlockingInput extends FileInput {
  /** The bytes from `start` to `end` or to the end of the file, in chunks that are valid until the next one. */
  bytes(start: number, end: number): Generator<Buffer, void, void>;
}

/**
 * Reads the headers of a tar on disk and skips the bodies. Offsets of entries refer to the file, not to the range.
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

/** Like `scanTarFile`, for threads without other work: reads block. */
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
    if (entry.bodyOffset + entry.bodySize > range.end) {
      const place = { where: options.where, offset: entry.offset, path: entry.path };
      refuseTruncated(place, entry.bodySize, range.end - entry.bodyOffset);
    }
    // the last entry may lack its padding
    const end = Math.min(entry.end, range.end);
    yield end === entry.end ? entry : { ...entry, end };
    input.moveTo(end);
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

/** @param windowSize bytes per read at most */
export function blockingInput(fd: number, range: TarRange, windowSize: number): BlockingInput {
  let position = range.start;
  let window = Buffer.allocUnsafeSlow(Math.min(windowSize, range.end - range.start));
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
    take: (size) => (++taken % READS_PER_TURN === 0 ? setImmediate().then(() => take(size)) : take(size)),
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
