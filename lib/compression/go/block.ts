import { countCodes, generateCodes } from '../tokencoder.ts';
import { FIXED_LITERALS, FIXED_OFFSETS, type BitWriter } from '../bits.ts';
import { extraBits, END_OF_BLOCK, LITERAL_COUNT, MAX_STORED, OFFSET_COUNT } from '../symbols.ts';
import { createDynamicHeader } from './header.ts';
import { bitLength } from './bitlength.ts';

/** Writes blocks of tokens like Go's compress/flate (huffman_bit_writer.go). `input` is the text of the tokens. */
export interface GoBlockWriter {
  /** Writes a stored, fixed or dynamic block, whose size is the smallest. */
  smallest(tokens: Int32Array, count: number, input: Uint8Array | undefined): void;
  /** Writes a dynamic block, or a stored one if that saves less than a sixteenth. */
  dynamic(tokens: Int32Array, count: number, input: Uint8Array): void;
  /** Writes only literals, or a stored block if that saves less than a sixteenth. */
  literals(input: Uint8Array): void;
}

export function createGoBlockWriter(out: BitWriter): GoBlockWriter {
  const literalFrequencies = new Int32Array(LITERAL_COUNT);
  const offsetFrequencies = new Int32Array(OFFSET_COUNT);
  const literalCodes = new Int32Array(LITERAL_COUNT);
  const offsetCodes = new Int32Array(OFFSET_COUNT);
  /** One offset code of one bit, for blocks without matches. */
  const noOffsetCodes = new Int32Array(OFFSET_COUNT);
  noOffsetCodes[0] = 1 << 16;
  const header = createDynamicHeader();
  let literalCount = 0;
  let offsetCount = 0;

  function index(tokens: Int32Array, count: number): void {
    countCodes(tokens, count, literalFrequencies, offsetFrequencies);
    literalFrequencies[END_OF_BLOCK]!++;
    literalCount = LITERAL_COUNT;
    while (literalFrequencies[literalCount - 1] === 0) literalCount--;
    offsetCount = OFFSET_COUNT;
    while (offsetCount > 0 && offsetFrequencies[offsetCount - 1] === 0) offsetCount--;
    if (offsetCount === 0) {
      offsetFrequencies[0] = 1;
      offsetCount = 1;
    }
    generateCodes(literalFrequencies, LITERAL_COUNT, 15, literalCodes);
    generateCodes(offsetFrequencies, OFFSET_COUNT, 15, offsetCodes);
    header.prepare(literalCodes, literalCount, offsetCodes, offsetCount);
  }

  function bodySize(literals: Int32Array, offsets: Int32Array): number {
    return (
      bitLength(literalFrequencies, LITERAL_COUNT, literals) +
      bitLength(offsetFrequencies, OFFSET_COUNT, offsets)
    );
  }

  function writeDynamic(tokens: Int32Array, count: number): void {
    header.write(out);
    out.tokens(tokens, count, literalCodes, offsetCodes);
    out.code(literalCodes[END_OF_BLOCK]!);
  }

  return {
    smallest(tokens, count, input) {
      index(tokens, count);
      const isStorable = input !== undefined && input.length <= MAX_STORED;
      // equal for fixed and dynamic blocks, so Go only counts it to compare with a stored block
      const extra = isStorable ? extraBits(literalFrequencies, offsetFrequencies) : 0;
      const fixedSize = 3 + bodySize(FIXED_LITERALS, FIXED_OFFSETS) + extra;
      const dynamicSize = header.size() + bodySize(literalCodes, offsetCodes) + extra;
      if (isStorable && (input.length + 5) * 8 < Math.min(fixedSize, dynamicSize)) {
        out.stored(input, false);
      } else if (dynamicSize < fixedSize) {
        writeDynamic(tokens, count);
      } else {
        out.bits(2, 3);
        out.tokens(tokens, count, FIXED_LITERALS, FIXED_OFFSETS);
        out.code(FIXED_LITERALS[END_OF_BLOCK]!);
      }
    },
    dynamic(tokens, count, input) {
      index(tokens, count);
      const size = header.size() + bodySize(literalCodes, offsetCodes);
      if ((input.length + 5) * 8 < size + (size >> 4)) out.stored(input, false);
      else writeDynamic(tokens, count);
    },
    literals(input) {
      literalFrequencies.fill(0);
      for (let i = 0; i < input.length; i++) literalFrequencies[input[i]!]!++;
      literalFrequencies[END_OF_BLOCK] = 1;
      offsetFrequencies[0] = 1;
      generateCodes(literalFrequencies, LITERAL_COUNT, 15, literalCodes);
      header.prepare(literalCodes, END_OF_BLOCK + 1, noOffsetCodes, 1);
      const size = header.size() + bodySize(literalCodes, noOffsetCodes);
      if ((input.length + 5) * 8 < size + (size >> 4)) {
        out.stored(input, false);
        return;
      }
      header.write(out);
      const tokens = Int32Array.from(input);
      out.tokens(tokens, tokens.length, literalCodes, noOffsetCodes);
      out.code(literalCodes[END_OF_BLOCK]!);
    },
  };
}
