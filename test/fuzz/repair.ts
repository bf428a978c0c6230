/** Makes the checksums of damaged tars and the digests of their blobs right again. */
import { digestOf } from '../../lib/digest.ts';
import { BLOCK, withChecksum } from '../support/tar.ts';

const MAGIC_AT = 257;

export function repairTar(bytes: Buffer): Buffer {
  for (const at of headersOf(bytes)) withChecksum(bytes.subarray(at, at + BLOCK));
  return bytes;
}

function headersOf(bytes: Buffer): number[] {
  const headers: number[] = [];
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    if (bytes.toString('latin1', at + MAGIC_AT, at + MAGIC_AT + 5) === 'ustar') headers.push(at);
  }
  return headers;
}

const BLOB = /^blobs\/sha256\/([0-9a-f]{64})/;
const DIGESTS = 4;

/** In a tar of an image: blobs are named by their digests, and other documents name them so. */
export function repairBlobs(bytes: Buffer): Buffer {
  for (let round = 0; round < DIGESTS; round++) {
    for (const at of headersOf(bytes)) {
      const name = BLOB.exec(bytes.toString('latin1', at, at + 100))?.[1];
      const size = parseInt(bytes.toString('latin1', at + 124, at + 135), 8);
      if (name === undefined || !(size >= 0 && size < bytes.length)) continue;
      const found = digestOf(bytes.subarray(at + BLOCK, at + BLOCK + size)).slice('sha256:'.length);
      if (found !== name) replaceAll(bytes, name, found);
    }
  }
  return repairTar(bytes);
}

/** Both are of the same length. */
function replaceAll(bytes: Buffer, from: string, to: string): void {
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at)) bytes.write(to, at, 'latin1');
}
