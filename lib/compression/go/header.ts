import { generateCodes } from '../tokencoder.ts';
import type { BitWriter } from '../bits.ts';
import { RUN_COUNT, RUN_EXTRA_BITS, RUN_ORDER } from '../symbols.ts';
import { bitLength } from './bitlength.ts';

/** The header of a dynamic block (RFC 1951, section 3.2.7), with the run lengths that Go's encoders choose. */
export interface DynamicHeader {
  /** Prepares the lengths of the first `literalCount` literal and `offsetCount` offset codes. */
  prepare(literals: Int32Array, literalCount: number, offsets: Int32Array, offsetCount: number): void;
  /** Size of the prepared header, in bits. */
  size(): number;
  write(out: BitWriter): void;
}

export function createDynamicHeader(): DynamicHeader {
  const codes = new Int32Array(RUN_COUNT);
  const frequencies = new Int32Array(RUN_COUNT);
  /** Symbols; each from 16 on is followed by the value of its extra bits. */
  let symbols: number[] = [];
  let literals = 0;
  let offsets = 0;
  let codeCount = 0;

  function emit(symbol: number, extra?: number): void {
    frequencies[symbol]!++;
    symbols.push(symbol);
    if (extra !== undefined) symbols.push(extra);
  }

  function emitRun(length: number, run: number): void {
    let left = run;
    if (length !== 0) {
      emit(length);
      left--;
      while (left >= 3) {
        const n = Math.min(left, 6);
        emit(16, n - 3);
        left -= n;
      }
    } else {
      while (left >= 11) {
        const n = Math.min(left, 138);
        emit(18, n - 11);
        left -= n;
      }
      if (left >= 3) {
        emit(17, left - 3);
        left = 0;
      }
    }
    for (; left > 0; left--) emit(length);
  }

  return {
    prepare(literalCodes, literalCount, offsetCodes, offsetCount) {
      literals = literalCount;
      offsets = offsetCount;
      symbols = [];
      frequencies.fill(0);
      let run = 0;
      let length = literalCodes[0]! >>> 16;
      for (let i = 0; i < literalCount + offsetCount; i++) {
        const next = (i < literalCount ? literalCodes[i]! : offsetCodes[i - literalCount]!) >>> 16;
        if (next === length) {
          run++;
          continue;
        }
        emitRun(length, run);
        length = next;
        run = 1;
      }
      emitRun(length, run);
      generateCodes(frequencies, RUN_COUNT, 7, codes);
      codeCount = RUN_COUNT;
      while (codeCount > 4 && frequencies[RUN_ORDER[codeCount - 1]!] === 0) codeCount--;
    },
    size: () =>
      3 +
      5 +
      5 +
      4 +
      3 * codeCount +
      bitLength(frequencies, RUN_COUNT, codes) +
      2 * frequencies[16]! +
      3 * frequencies[17]! +
      7 * frequencies[18]!,
    write(out) {
      out.bits(4, 3);
      out.bits(literals - 257, 5);
      out.bits(offsets - 1, 5);
      out.bits(codeCount - 4, 4);
      for (let i = 0; i < codeCount; i++) out.bits(codes[RUN_ORDER[i]!]! >>> 16, 3);
      for (let i = 0; i < symbols.length; i++) {
        const symbol = symbols[i]!;
        out.code(codes[symbol]!);
        if (symbol >= 16) out.bits(symbols[++i]!, RUN_EXTRA_BITS[symbol - 16]!);
      }
    },
  };
}
