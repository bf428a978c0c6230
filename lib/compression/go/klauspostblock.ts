import { countCodes, generateCodes } from '../tokencoder.ts';
import { FIXED_LITERALS, FIXED_OFFSETS, type BitWriter } from '../bits.ts';
import {
  extraBits,
  END_OF_BLOCK,
  LENGTH_EXTRA,
  LITERAL_COUNT,
  OFFSET_COUNT,
  OFFSET_EXTRA,
} from '../symbols.ts';
import { createDynamicHeader } from './header.ts';
import { bitLength } from './bitlength.ts';

/**
 * Writes blocks like klauspost/compress (flate/huffman_bit_writer.go): a block may reuse the codes of the last one,
 * so the end of a block is written when the next header is.
 *
 * `isFlush` is set for the last block before a flush, whose end is written at once.
 */
export interface KlauspostBlockWriter {
  dynamic(tokens: Int32Array, count: number, input: Uint8Array, isFlush: boolean): void;
  literals(input: Uint8Array, isFlush: boolean): void;
  stored(input: Uint8Array): void;
  /** Writes an empty stored block, which aligns to a byte. */
  flush(): void;
  /** Writes an empty fixed block as the last one. */
  finish(): void;
}

/** Fixed codes are considered for fewer tokens. */
const MAX_FIXED_TOKENS = 250;
const NEW_TABLE_PENALTY = 7;
const GUESSED_HEADER_BITS = 70 * 8;
const MIN_SAMPLED = 1024;
const NEVER = 0x7fffffff;
const LITERAL_CODE_COUNT = 256;

/** @param isTrimmed whether headers end with the last code in use (from version 1.18.2 on) */
export function createKlauspostBlockWriter(out: BitWriter, isTrimmed: boolean): KlauspostBlockWriter {
  const literalFrequencies = new Int32Array(LITERAL_COUNT);
  const offsetFrequencies = new Int32Array(OFFSET_COUNT);
  let literalCodes = new Int32Array(LITERAL_COUNT);
  let spareCodes = new Int32Array(LITERAL_COUNT);
  const offsetCodes = new Int32Array(OFFSET_COUNT);
  const noOffsetCodes = new Int32Array(OFFSET_COUNT);
  noOffsetCodes[0] = 1 << 16;
  const header = createDynamicHeader();
  /** Size in bits of the open block's header; 0 if no block is open. */
  let openHeader = 0;
  /** Whether the open block has codes for literals only. */
  let isLiteralsOnly = false;

  function endOpen(): void {
    if (openHeader > 0) out.code(literalCodes[END_OF_BLOCK]!);
    openHeader = 0;
  }

  function count(tokens: Int32Array, tokenCount: number, isFlush: boolean): void {
    countCodes(tokens, tokenCount, literalFrequencies, offsetFrequencies);
    if (isFlush) literalFrequencies[END_OF_BLOCK] = 1;
  }

  function canReuse(): boolean {
    for (let i = 0; i < LITERAL_COUNT; i++) {
      if (literalFrequencies[i] !== 0 && literalCodes[i] === 0) return false;
    }
    for (let i = 0; i < OFFSET_COUNT; i++) {
      if (offsetFrequencies[i] !== 0 && offsetCodes[i] === 0) return false;
    }
    return true;
  }

  function bodySize(literals: Int32Array, offsets: Int32Array): number {
    return (
      bitLength(literalFrequencies, LITERAL_COUNT, literals) +
      bitLength(offsetFrequencies, OFFSET_COUNT, offsets)
    );
  }

  function stored(input: Uint8Array): void {
    endOpen();
    out.stored(input, false);
  }

  function fixed(tokens: Int32Array, tokenCount: number): void {
    endOpen();
    out.bits(2, 3);
    out.tokens(tokens, tokenCount, FIXED_LITERALS, FIXED_OFFSETS);
    out.code(FIXED_LITERALS[END_OF_BLOCK]!);
  }

  return {
    stored,
    dynamic(tokens, tokenCount, input, isFlush) {
      if (isLiteralsOnly && openHeader > 0) {
        endOpen();
        isLiteralsOnly = false;
      }
      count(tokens, tokenCount, isFlush);
      if (openHeader > 0 && !canReuse()) endOpen();
      // with the end of the block if it is written now
      const allCount = tokenCount + (isFlush ? 1 : 0);
      const estimated = openHeader > 0 ? estimatedBits(literalFrequencies, offsetFrequencies, allCount) : 0;
      let literalCount = LITERAL_COUNT;
      let offsetCount = OFFSET_COUNT;
      if (isTrimmed || isFlush) {
        literalFrequencies[END_OF_BLOCK] = 1;
        while (literalFrequencies[literalCount - 1] === 0) literalCount--;
        while (offsetCount > 0 && offsetFrequencies[offsetCount - 1] === 0) offsetCount--;
        if (offsetCount === 0) {
          offsetFrequencies[0] = 1;
          offsetCount = 1;
        }
      }
      const extra = extraBits(literalFrequencies, offsetFrequencies);
      const storedSize = (input.length + 5) * 8;
      const isFew = allCount < MAX_FIXED_TOKENS;
      if (openHeader > 0) {
        let newSize = openHeader + estimated;
        newSize += (literalCodes[END_OF_BLOCK]! >>> 16) + (newSize >> NEW_TABLE_PENALTY);
        let size = bodySize(literalCodes, offsetCodes) + extra;
        if (newSize < size) {
          endOpen();
          size = newSize;
        }
        const isFixed = isFew && 3 + bodySize(FIXED_LITERALS, FIXED_OFFSETS) + extra + 7 < size;
        if (storedSize <= size) return stored(input);
        if (isFixed) return fixed(tokens, tokenCount);
      }
      if (openHeader === 0) {
        literalFrequencies[END_OF_BLOCK] = 1;
        generateCodes(literalFrequencies, LITERAL_COUNT, 15, literalCodes);
        generateCodes(offsetFrequencies, OFFSET_COUNT, 15, offsetCodes);
        header.prepare(literalCodes, literalCount, offsetCodes, offsetCount);
        const size = header.size() + bodySize(literalCodes, offsetCodes) + extra;
        if (isFew) {
          const fixedSize = 3 + bodySize(FIXED_LITERALS, FIXED_OFFSETS) + extra;
          if (fixedSize <= size) return storedSize <= fixedSize ? stored(input) : fixed(tokens, tokenCount);
        }
        if (storedSize <= size) return stored(input);
        header.write(out);
        openHeader = header.size();
        isLiteralsOnly = false;
      }
      out.tokens(tokens, tokenCount, literalCodes, offsetCodes);
      if (isFlush) endOpen();
    },
    literals(input, isFlush) {
      literalFrequencies.fill(0);
      for (let i = 0; i < input.length; i++) literalFrequencies[input[i]!]!++;
      if (input.length > MIN_SAMPLED && isIncompressible(literalFrequencies, input.length))
        return stored(input);
      literalFrequencies[END_OF_BLOCK] = 1;
      generateCodes(literalFrequencies, END_OF_BLOCK + 1, 15, spareCodes);
      let estimated = bitLength(literalFrequencies, END_OF_BLOCK + 1, spareCodes);
      estimated += openHeader || GUESSED_HEADER_BITS;
      estimated += estimated >> NEW_TABLE_PENALTY;
      if ((input.length + 5) * 8 <= estimated) return stored(input);
      if (openHeader > 0 && estimated < reuseSize(literalFrequencies, literalCodes)) endOpen();
      if (openHeader === 0) {
        [literalCodes, spareCodes] = [spareCodes, literalCodes];
        header.prepare(literalCodes, END_OF_BLOCK + 1, noOffsetCodes, 1);
        header.write(out);
        isLiteralsOnly = true;
        openHeader = header.size();
      }
      const tokens = Int32Array.from(input);
      out.tokens(tokens, tokens.length, literalCodes, noOffsetCodes);
      if (isFlush) {
        endOpen();
        isLiteralsOnly = false;
      }
    },
    flush() {
      stored(new Uint8Array());
    },
    finish() {
      endOpen();
      out.bits(3, 3);
      out.bits(0, 7);
      out.align();
    },
  };
}

/** Size of literals in given codes, in bits; NEVER if one has no code. */
function reuseSize(frequencies: Int32Array, codes: Int32Array): number {
  let total = 0;
  for (let i = 0; i < LITERAL_CODE_COUNT; i++) {
    if (frequencies[i] === 0) continue;
    if (codes[i] === 0) return NEVER;
    total += frequencies[i]! * (codes[i]! >>> 16);
  }
  return total;
}

/** Whether the bytes are so evenly distributed that no code saves anything. */
function isIncompressible(frequencies: Int32Array, length: number): boolean {
  const average = length / 256;
  const limit = length * 2;
  let sum = 0;
  for (let i = 0; i < LITERAL_CODE_COUNT && sum <= limit; i++) {
    const difference = frequencies[i]! - average;
    sum += difference * difference;
  }
  return sum < limit;
}

/** Lower bound of a block's bits with dynamic codes: Shannon's bound in single precision (token.go). */
function estimatedBits(literals: Int32Array, offsets: Int32Array, total: number): number {
  const { fround } = Math;
  let shannon = 0;
  let bits = 0;
  let matches = 0;
  const add = (frequency: number, inverse: number) => {
    shannon = fround(shannon + fround(codeBits(fround(frequency * inverse)) * frequency));
  };
  if (total > 0) {
    const inverse = fround(1 / total);
    for (let i = 0; i < LITERAL_CODE_COUNT; i++) if (literals[i]! > 0) add(literals[i]!, inverse);
    shannon = fround(shannon + 15);
    for (let i = 257; i < LITERAL_COUNT; i++) {
      const frequency = literals[i]!;
      if (frequency === 0) continue;
      add(frequency, inverse);
      bits += LENGTH_EXTRA[i - 257]! * frequency;
      matches += frequency;
    }
  }
  if (matches > 0) {
    const inverse = fround(1 / matches);
    for (let i = 0; i < OFFSET_COUNT; i++) {
      const frequency = offsets[i]!;
      if (frequency === 0) continue;
      add(frequency, inverse);
      bits += OFFSET_EXTRA[i]! * frequency;
    }
  }
  return Math.trunc(shannon) + bits;
}

const floats = new Float32Array(1);
const floatBits = new Int32Array(floats.buffer);
const [A, B, C] = [-0.34484843, 2.02466578, 0.67487759].map(Math.fround) as [number, number, number];

/** Approximates -log2 of a share, from 1 to 15. */
function codeBits(share: number): number {
  const { fround } = Math;
  floats[0] = share;
  const bits = floatBits[0]!;
  const exponent = ((bits >> 23) & 255) - 128;
  floatBits[0] = (bits & ~0x7f800000) + (127 << 23);
  const mantissa = floats[0];
  const polynomial = fround(fround(fround(fround(A * mantissa) + B) * mantissa) - C);
  return Math.min(Math.max(-fround(exponent + polynomial), 1), 15);
}
