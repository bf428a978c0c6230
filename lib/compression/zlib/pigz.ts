import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { createFinder } from '../finder.ts';
import { WINDOW_SIZE } from '../symbols.ts';
import { createZlib, type ZlibDeflater } from './zlib.ts';

/** Output of pigz 2.6 to 2.8: blocks of a fixed input size, each aligned to a byte. */

export interface PigzOptions {
  /** 1 to 9. */
  readonly level: number;
  /** Input per block in bytes, over 32 KiB. */
  readonly blockSize: number;
  /**
   * Whether blocks are compressed in parallel, each with the text before as dictionary, as on two or more processors.
   */
  readonly isParallel: boolean;
}

export function createPigz({ level, blockSize, isParallel }: PigzOptions, out: BitWriter): Deflater {
  const dictionary = new Uint8Array(WINDOW_SIZE);
  const finder = createFinder();
  let deflater: ZlibDeflater = createZlib(level, 'zlib', out, finder);
  let size = 0;

  function endBlock(): void {
    deflater.endBlock();
    const pending = out.pending();
    if ((pending & 1) === 1) {
      out.stored(new Uint8Array(), false);
    } else {
      // pad with empty fixed blocks of ten bits
      while (out.pending() !== 0) out.bits(2, 10);
    }
    size = 0;
    if (!isParallel) return;
    deflater = createZlib(level, 'zlib', out, finder, dictionary);
  }

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        // the last block is ended by the end of the stream
        if (size === blockSize) endBlock();
        const part = piece.subarray(at, at + blockSize - size);
        deflater.write(part);
        if (isParallel) remember(dictionary, part);
        size += part.length;
        at += part.length;
      }
    },
    finish: () => deflater.finish(),
  };
}

/** Updates `tail` to the last bytes of the text. */
export function remember(tail: Uint8Array, piece: Uint8Array): void {
  const part = piece.subarray(-tail.length);
  tail.copyWithin(0, part.length);
  tail.set(part, tail.length - part.length);
}
