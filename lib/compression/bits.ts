import { packTokens } from './tokencoder.ts';

/** A Huffman code: its reversed bits, and its length in bits 16 and above; 0 for a symbol without a code. */
export type Code = number;

/** Packs bits into bytes, lowest bit first (RFC 1951, section 3.1.1). */
export interface BitWriter {
  /** @param count at most 16 */
  bits(value: number, count: number): void;
  code(code: Code): void;
  /** Pads with zeros to a whole byte. */
  align(): void;
  /** Number of bits in the last, incomplete byte. */
  pending(): number;
  /** Appends whole bytes. Call `align` before. */
  bytes(bytes: Uint8Array): void;
  /** Writes a stored block (section 3.2.4) of at most 65535 bytes. */
  stored(input: Uint8Array, isLast: boolean): void;
  /** Writes tokens (symbols.ts) in the given codes, without the end of the block. */
  tokens(tokens: Int32Array, count: number, literals: Int32Array, offsets: Int32Array): void;
  /** Removes the whole bytes from the writer. @returns a copy of them */
  take(): Uint8Array;
}

const START_SIZE = 256 * 1024;

export function createBitWriter(): BitWriter {
  let out = new Uint8Array(START_SIZE);
  let size = 0;
  // fewer than 16 bits that have not been written
  let held = 0;
  let count = 0;

  function reserve(more: number): void {
    if (size + more <= out.length) return;
    const larger = new Uint8Array(Math.max(2 * out.length, size + more));
    larger.set(out.subarray(0, size));
    out = larger;
  }

  function bits(value: number, length: number): void {
    held |= value << count;
    count += length;
    if (count < 16) return;
    reserve(2);
    out[size++] = held;
    out[size++] = held >>> 8;
    held >>>= 16;
    count -= 16;
  }

  function align(): void {
    reserve(2);
    for (; count > 0; count -= 8) {
      out[size++] = held;
      held >>>= 8;
    }
    count = 0;
  }

  function append(input: Uint8Array): void {
    reserve(input.length);
    out.set(input, size);
    size += input.length;
  }

  function bytes(input: Uint8Array): void {
    reserve(2);
    for (; count > 0; count -= 8) {
      out[size++] = held;
      held >>>= 8;
    }
    append(input);
  }

  return {
    bits,
    code: (code) => bits(code & 0xffff, code >>> 16),
    align,
    pending: () => count & 7,
    bytes,
    stored(input, isLast) {
      bits(isLast ? 1 : 0, 3);
      align();
      bits(input.length, 16);
      bits(~input.length & 0xffff, 16);
      bytes(input);
    },
    tokens(tokens, tokenCount, literals, offsets) {
      const bits = { bits: held, count };
      packTokens(tokens, tokenCount, literals, offsets, bits, append);
      held = bits.bits;
      count = bits.count;
    },
    take() {
      const taken = out.slice(0, size);
      size = 0;
      return taken;
    },
  };
}

/** @param value the code's bits in the order of RFC 1951 */
export function reversedCode(value: number, length: number): Code {
  let reversed = 0;
  for (let i = 0; i < length; i++) reversed |= ((value >> i) & 1) << (length - 1 - i);
  return reversed | (length << 16);
}

/** The codes of fixed blocks (RFC 1951, section 3.2.6). */
export const FIXED_LITERALS = Int32Array.from({ length: 288 }, (_, symbol) => {
  if (symbol < 144) return reversedCode(0x30 + symbol, 8);
  if (symbol < 256) return reversedCode(0x190 + symbol - 144, 9);
  if (symbol < 280) return reversedCode(symbol - 256, 7);
  return reversedCode(0xc0 + symbol - 280, 8);
});
export const FIXED_OFFSETS = Int32Array.from({ length: 30 }, (_, symbol) => reversedCode(symbol, 5));
