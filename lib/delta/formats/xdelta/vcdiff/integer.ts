import { PanamaxError } from '../../../../errors.ts';
import type { ByteSource } from '../../../patchreader.ts';

/**
 * Integers of RFC 3284, section 2: base 128, most significant digit first, bit 7 set on all bytes but the last.
 * xdelta3 reads up to 64 bits; here they end where JavaScript's exact integers do.
 */

/** Bytes that `value` takes. */
export function integerSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes `value` at `at` and returns the offset behind it. */
export function writeInteger(out: Uint8Array, at: number, value: number): number {
  const end = at + integerSize(value);
  let rest = value;
  for (let i = end - 1; i >= at; i--) {
    out[i] = (rest % 128) | (i === end - 1 ? 0 : 128);
    rest = Math.floor(rest / 128);
  }
  return end;
}

/** Reads one integer; throws `bad-patch` for one beyond 2^53 - 1. */
export function readInteger(from: ByteSource): number {
  let value = 0;
  for (;;) {
    const byte = from.byte();
    value = value * 128 + (byte & 127);
    if (value > Number.MAX_SAFE_INTEGER) {
      throw new PanamaxError('bad-patch', 'a VCDIFF integer is too large', {
        expected: `at most ${Number.MAX_SAFE_INTEGER}`,
      });
    }
    if (byte < 128) return value;
  }
}
