import type { BitWriter } from '../bits.ts';
import type { Deflater } from '../deflater.ts';
import { createFinder } from '../finder.ts';
import { MAX_STORED } from '../symbols.ts';
import { createKlauspostBlockWriter } from './klauspostblock.ts';

/**
 * Level 5, the default, of klauspost/compress (flate/level5.go): a table of the last position by four bytes, and one
 * of the last two positions by seven. Versions in a range have the same output.
 */
export interface KlauspostDeflater extends Deflater {
  /** Restarts with text that matches may refer to. */
  reset(dictionary: Uint8Array): void;
  flush(): void;
}

interface Traits {
  /** A match found from the end of another may differ in this many first bytes. */
  readonly skipBeginning: number;
  /** Whether long matches are split into as few as possible. */
  readonly isSplitWell: boolean;
  /** Whether headers end with the last code in use. */
  readonly isTrimmed: boolean;
}

/** Traits by the first version with this output. The first entry holds from about 1.14.1 on. */
const VERSIONS = {
  '1.14.4': { skipBeginning: 0, isSplitWell: false, isTrimmed: false },
  '1.15.0': { skipBeginning: 0, isSplitWell: true, isTrimmed: false },
  '1.15.10': { skipBeginning: 2, isSplitWell: true, isTrimmed: false },
  '1.18.2': { skipBeginning: 2, isSplitWell: true, isTrimmed: true },
} as const satisfies Record<string, Traits>;

export type KlauspostVersion = keyof typeof VERSIONS;

/** A shorter rest before a flush is not searched for matches. */
const MIN_SEARCHED = 128;
const MAX_TINY = 32;

export function createKlauspost(version: KlauspostVersion, out: BitWriter): KlauspostDeflater {
  const { skipBeginning, isSplitWell, isTrimmed }: Traits = VERSIONS[version];
  const blocks = createKlauspostBlockWriter(out, isTrimmed);
  const finder = createFinder();
  const { tokens, functions } = finder;
  const window = finder.bytesAt(functions.klauspost_input());
  let size = 0;
  functions.klauspost_start(skipBeginning, isSplitWell ? 1 : 0);
  functions.klauspost_forget();

  function flushBlock(isFlush: boolean): void {
    const input = window.subarray(0, size);
    if (size < MAX_STORED && size < MIN_SEARCHED) {
      if (size > MAX_TINY) blocks.literals(input, true);
      else if (size > 0) blocks.stored(input);
      // later blocks must not refer to it
      if (size > 0) functions.klauspost_forget();
    } else {
      const count = functions.klauspost_run(size);
      if (count === 0) blocks.stored(input);
      else if (count > size - (size >> 4)) blocks.literals(input, isFlush);
      else blocks.dynamic(tokens, count, input, isFlush);
    }
    size = 0;
  }

  return {
    reset(dictionary) {
      functions.klauspost_forget();
      window.set(dictionary);
      functions.klauspost_run(dictionary.length);
    },
    write(piece) {
      for (let at = 0; at < piece.length;) {
        if (size === MAX_STORED) flushBlock(false);
        const part = piece.subarray(at, at + MAX_STORED - size);
        window.set(part, size);
        size += part.length;
        at += part.length;
      }
    },
    flush() {
      flushBlock(true);
      blocks.flush();
    },
    finish() {
      flushBlock(true);
      blocks.finish();
    },
  };
}
