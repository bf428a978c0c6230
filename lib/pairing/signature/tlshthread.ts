import { type TlshRequest, type TlshAnswer, END, HOLE } from './tlshmessages.ts';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { createTlsh, type TlshHasher } from './tlsh.ts';

/**
 * The entry of the thread that computes TLSHs over ranges of a file that is still being written. `layer` answers with the
 * TLSH of the ranges since the last one, and adds up the counts of windows within files. `left-out` subtracts the counts
 * of the ranges since then. `rest` answers with the TLSH of the remaining files in another order; it reuses the counts.
 * `close` closes the file; a path opens the next one.
 */

const ZEROS = new Uint8Array(64 * 1024);
const READ_SIZE = 1024 ** 2;

let file = -1;
const buffer = new Uint8Array(READ_SIZE);
const within = new Float64Array(256);
let tlsh: TlshHasher = createTlsh();

function open(path: string): void {
  file = openSync(path, 'r');
  within.fill(0);
  tlsh = createTlsh();
}

function hashRanges(ranges: Float64Array): void {
  for (let i = 0; i < ranges.length; i += 2) {
    const offset = ranges[i]!;
    const end = offset + ranges[i + 1]!;
    if (offset === END) tlsh.endFile();
    else if (offset === HOLE) hashZeros(ranges[i + 1]!);
    else for (let at = offset; at < end;) at += hashPart(at, Math.min(end - at, READ_SIZE));
  }
}

function hashPart(at: number, size: number): number {
  const read = readSync(file, buffer, 0, size, at);
  if (read === 0) throw new Error(`the file ends at ${at}`);
  tlsh.update(buffer.subarray(0, read));
  return read;
}

function hashZeros(size: number): void {
  for (let left = size; left > 0; left -= ZEROS.length) tlsh.update(ZEROS.subarray(0, left));
}

export function handler(request: TlshRequest): TlshAnswer | undefined {
  try {
    if (typeof request !== 'string') {
      if ('path' in request) open(request.path);
      else hashRanges(request);
      return undefined;
    }
    if (request === 'close') {
      closeSync(file);
      return undefined;
    }
    if (request === 'left-out') {
      for (const [i, count] of tlsh.within.entries()) within[i]! -= count;
      tlsh = createTlsh(within);
      return undefined;
    }
    const digest = tlsh.digest();
    for (const [i, count] of tlsh.within.entries()) within[i]! += count;
    tlsh = createTlsh();
    return { digest };
  } catch (error) {
    return { failure: (error as Error).message };
  }
}

parentPort!.on('message', (request: TlshRequest) => {
  const answer = handler(request);
  if (answer) parentPort!.postMessage(answer);
});
