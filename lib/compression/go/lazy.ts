import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { createFinder } from '../finder.ts';
import { createGoBlockWriter } from './block.ts';

/** Levels 2 to 9 of Go's compress/flate (deflate.go): hash chains over a window that slides by half its buffer. */

interface Level {
  /** Shorter matches are deferred for a better one at the next byte. */
  readonly lazy: number;
  /** A match of this length ends the search. */
  readonly nice: number;
  /** Limit of candidates. */
  readonly chain: number;
  /** Without lazy matching: positions inside longer matches are not hashed. */
  readonly skip?: number;
}

const LEVELS: Readonly<Record<number, Level>> = {
  2: { lazy: 0, nice: 16, chain: 8, skip: 5 },
  3: { lazy: 0, nice: 32, chain: 32, skip: 6 },
  4: { lazy: 4, nice: 16, chain: 16 },
  5: { lazy: 16, nice: 32, chain: 32 },
  6: { lazy: 16, nice: 128, chain: 128 },
  7: { lazy: 32, nice: 128, chain: 256 },
  8: { lazy: 128, nice: 258, chain: 1024 },
  9: { lazy: 258, nice: 258, chain: 4096 },
};
const IS_LAZY = -1;

/** @param level 2 to 9 */
export function createGoLazy(level: number, out: BitWriter): Deflater {
  const { lazy, nice, chain, skip = IS_LAZY } = LEVELS[level]!;
  const blocks = createGoBlockWriter(out);
  const finder = createFinder();
  const { go_start: start, go_room: makeRoom, go_add: add, go_run: run } = finder.functions;
  start(lazy, nice, chain, skip);

  function deflate(isLast: boolean): void {
    while (run(isLast ? 1 : 0) === 1) {
      const { tokens, count, text } = finder.block();
      blocks.smallest(tokens, count, text);
    }
  }

  return {
    write(piece) {
      for (let at = 0; at < piece.length;) {
        deflate(false);
        const size = finder.fill(makeRoom(), piece.subarray(at));
        add(size);
        at += size;
      }
    },
    finish() {
      deflate(true);
      out.stored(new Uint8Array(), true);
      out.align();
    },
  };
}
