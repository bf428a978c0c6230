import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { createFinder } from '../finder.ts';
import { MAX_MATCH } from '../symbols.ts';
import { createZlibBlockWriter } from './block.ts';

/**
 * deflate of zlib (deflate.c; memLevel 8, default strategy), and of GNU gzip, which ends blocks by other rules. zlib's
 * output is the same since version 1.2.5 at least, but not that of forks with other hashes (Chromium's in Node,
 * Cloudflare's, zlib-ng).
 */
export interface ZlibDeflater extends Deflater {
  /** Ends an open block without aligning to a byte (Z_BLOCK). */
  endBlock(): void;
}

export type ZlibVariant = 'zlib' | 'gzip';

const MIN_MATCH = 3;
const MIN_LOOKAHEAD = MAX_MATCH + MIN_MATCH + 1;

interface Level {
  /** After a match of this length, only a quarter of the chain is searched. */
  readonly good: number;
  /** Matches of this length are not deferred. At the fast levels, positions inside longer ones are not hashed. */
  readonly lazy: number;
  readonly nice: number;
  readonly chain: number;
}

const LEVELS: Readonly<Record<number, Level>> = {
  1: { good: 4, lazy: 4, nice: 8, chain: 4 },
  2: { good: 4, lazy: 5, nice: 16, chain: 8 },
  3: { good: 4, lazy: 6, nice: 32, chain: 32 },
  4: { good: 4, lazy: 4, nice: 16, chain: 16 },
  5: { good: 8, lazy: 16, nice: 32, chain: 32 },
  6: { good: 8, lazy: 16, nice: 128, chain: 128 },
  7: { good: 8, lazy: 32, nice: 128, chain: 256 },
  8: { good: 32, lazy: 128, nice: 258, chain: 1024 },
  9: { good: 32, lazy: 258, nice: 258, chain: 4096 },
};

/**
 * @param level 1 to 9
 * @param finder of an encoder that has ended, to be used again
 */
export function createZlib(
  level: number,
  variant: ZlibVariant,
  out: BitWriter,
  finder = createFinder(),
  dictionary = new Uint8Array(),
): ZlibDeflater {
  const { good, lazy, nice, chain } = LEVELS[level]!;
  const writeBlock = createZlibBlockWriter(out);
  const { zlib_start, zlib_room, zlib_add, zlib_run, zlib_end, zlib_rest } = finder.functions;
  finder.fill(0, dictionary);
  zlib_start(variant === 'gzip' ? 1 : 0, level, good, lazy, nice, chain, dictionary.length);

  function flushBlock(isLast: boolean): void {
    const { tokens, count, text } = finder.block();
    writeBlock(tokens, count, text, isLast);
  }

  function deflate(minLookahead: number): void {
    while (zlib_run(minLookahead) === 1) flushBlock(false);
  }

  /** Makes the tokens of all input. @returns the number of those of the last block */
  function drain(): number {
    zlib_end();
    deflate(1);
    return zlib_rest();
  }

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        const size = finder.fill(zlib_room(), piece.subarray(at));
        zlib_add(size);
        at += size;
        deflate(MIN_LOOKAHEAD);
      }
    },
    endBlock() {
      if (drain() > 0) flushBlock(false);
    },
    finish() {
      drain();
      flushBlock(true);
      out.align();
    },
  };
}
