import { openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createTlsh, type TlshHasher } from './tlsh.ts';

/** The body of the thread that hashes ranges of a file that is still being written. */

/** Pairs of offset and size; an offset of -1 stands for zeros. Without ranges: the digest is wanted, the next one begins. */
export type TlshRequest = Float64Array | 'digest';
export type TlshAnswer = { readonly digest: string | null } | { readonly failure: string };

const ZEROS = new Uint8Array(64 * 1024);
const READ_SIZE = 1024 ** 2;

const file = openSync(workerData as string, 'r');
const buffer = new Uint8Array(READ_SIZE);
let tlsh: TlshHasher = createTlsh();

function hashRanges(ranges: Float64Array): void {
  for (let i = 0; i < ranges.length; i += 2) {
    const offset = ranges[i]!;
    const end = offset + ranges[i + 1]!;
    if (offset < 0) hashZeros(ranges[i + 1]!);
    else for (let at = offset; at < end;) at += hashPart(at, Math.min(end - at, READ_SIZE));
  }
}

function hashPart(at: number, size: number): number {
  const read = readSync(file, buffer, 0, size, at);
  if (read === 0) throw new Error(`it ends at ${at}`);
  tlsh.update(buffer.subarray(0, read));
  return read;
}

function hashZeros(size: number): void {
  for (let left = size; left > 0; left -= ZEROS.length) tlsh.update(ZEROS.subarray(0, left));
}

parentPort!.on('message', (request: TlshRequest) => {
  try {
    if (request !== 'digest') return hashRanges(request);
    const digest = tlsh.digest();
    tlsh = createTlsh();
    parentPort!.postMessage({ digest } satisfies TlshAnswer);
  } catch (error) {
    parentPort!.postMessage({ failure: (error as Error).message } satisfies TlshAnswer);
  }
});
