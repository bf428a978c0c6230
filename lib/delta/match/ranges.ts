import { readSync } from 'node:fs';

/**
 * Parts of a file laid side by side in one buffer, and the way back from the buffer to the file.
 * Part i stands at file[fileStart[i]] and at buffer[bufferStart[i]]; bufferStart has one more, the total.
 */
export interface Ranges {
  readonly fileStart: Float64Array;
  readonly bufferStart: Float64Array;
}

/** `pairs` is [start, end, start, end, …] in file offsets, in any order. */
export function toRanges(pairs: readonly number[]): Ranges {
  const count = pairs.length / 2;
  const fileStart = new Float64Array(count);
  const bufferStart = new Float64Array(count + 1);
  for (let i = 0; i < count; i++) {
    fileStart[i] = pairs[2 * i]!;
    bufferStart[i + 1] = bufferStart[i]! + pairs[2 * i + 1]! - pairs[2 * i]!;
  }
  return { fileStart, bufferStart };
}

export function sizeOf(ranges: Ranges): number {
  return ranges.bufferStart[ranges.bufferStart.length - 1]!;
}

export function readRanges(fd: number, ranges: Ranges): Uint8Array {
  const buffer = new Uint8Array(sizeOf(ranges));
  for (let i = 0; i < ranges.fileStart.length; i++) {
    let at = ranges.bufferStart[i]!;
    const end = ranges.bufferStart[i + 1]!;
    let from = ranges.fileStart[i]!;
    while (at < end) {
      const got = readSync(fd, buffer, at, end - at, from);
      if (got === 0) throw new Error('the stream is shorter than its layers');
      at += got;
      from += got;
    }
  }
  return buffer;
}

/** The part that holds a buffer offset. */
export function partAt(ranges: Ranges, offset: number): number {
  let low = 0;
  let high = ranges.fileStart.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ranges.bufferStart[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
