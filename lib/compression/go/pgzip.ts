import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { remember } from '../zlib/pigz.ts';
import { createKlauspost, type KlauspostVersion } from './klauspost.ts';

/** Output of klauspost/pgzip, as in buildah, podman and skopeo: the end of each block is the dictionary of the next. */

export interface PgzipOptions {
  /** The version of klauspost/compress. */
  readonly version: KlauspostVersion;
  /** Input per block in bytes, over 16 KiB. */
  readonly blockSize: number;
}

const DICTIONARY_SIZE = 16384;

export function createPgzip({ version, blockSize }: PgzipOptions, out: BitWriter): Deflater {
  const deflater = createKlauspost(version, out);
  const dictionary = new Uint8Array(DICTIONARY_SIZE);
  let size = 0;

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + blockSize - size);
        deflater.write(part);
        remember(dictionary, part);
        size += part.length;
        at += part.length;
        if (size < blockSize) continue;
        deflater.flush();
        deflater.reset(dictionary);
        size = 0;
      }
    },
    finish() {
      deflater.flush();
      deflater.finish();
    },
  };
}
