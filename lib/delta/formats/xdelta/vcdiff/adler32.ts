import { LITTLE_ENDIAN } from '../../../../compression/words.ts';

const MODULUS = 65521;
/** Words summed before lanes of 16 bits could overflow. */
const LANE_WORDS = 16;
/** Words between two reductions: 80 times 16, so that both sums stay below 2^32 (zlib's bound is 5552 bytes). */
const BLOCK_WORDS = 80 * LANE_WORDS;

/** Adler-32 (RFC 1950, section 8.2), which xdelta3 puts on every window. */
export function adler32(data: Uint8Array): number {
  const head = LITTLE_ENDIAN ? Math.min((4 - (data.byteOffset & 3)) & 3, data.length) : data.length;
  const words = new Int32Array(
    data.buffer,
    LITTLE_ENDIAN ? data.byteOffset + head : 0,
    (data.length - head) >>> 2,
  );
  const whole = words.length - (words.length % LANE_WORDS);
  let a = 1;
  let b = 0;
  [a, b] = addBytes(a, b, data, 0, head);
  for (let at = 0; at < whole;) {
    for (const end = Math.min(at + BLOCK_WORDS, whole); at < end; at += LANE_WORDS) {
      // Two lanes of 16 bits: bytes 0 and 2 of each word in `even`, 1 and 3 in `odd`; `…Sums` add up the
      // lanes as they were before each word, which is how often each byte counts in the second sum.
      let even = 0;
      let odd = 0;
      let evenSums = 0;
      let oddSums = 0;
      for (let i = at; i < at + LANE_WORDS; i++) {
        const word = words[i]!;
        evenSums = (evenSums + even) | 0;
        oddSums = (oddSums + odd) | 0;
        even = (even + (word & 0xff00ff)) | 0;
        odd = (odd + ((word >>> 8) & 0xff00ff)) | 0;
      }
      const b0 = even & 0xffff;
      const b1 = odd & 0xffff;
      const b2 = even >>> 16;
      const b3 = odd >>> 16;
      const sums = (evenSums & 0xffff) + (evenSums >>> 16) + (oddSums & 0xffff) + (oddSums >>> 16);
      b = (b + 4 * LANE_WORDS * a + 4 * sums + 4 * b0 + 3 * b1 + 2 * b2 + b3) | 0;
      a = (a + b0 + b1 + b2 + b3) | 0;
    }
    a = (a >>> 0) % MODULUS;
    b = (b >>> 0) % MODULUS;
  }
  [a, b] = addBytes(a, b, data, head + whole * 4, data.length);
  return ((b << 16) | a) >>> 0;
}

function addBytes(a: number, b: number, data: Uint8Array, from: number, to: number): [number, number] {
  for (let i = from; i < to; i++) {
    a = (a + data[i]!) % MODULUS;
    b = (b + a) % MODULUS;
  }
  return [a, b];
}
