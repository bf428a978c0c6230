import { createBitWriter, type BitWriter } from '../bits.ts';
import { highBit } from './fse.ts';
import { createLiteralCoder, type CodedLiterals } from './huff0.ts';
import { BLOCK_SIZE, createSequenceWriter, type BlockContent } from './sequences.ts';

/** Writes zstd blocks (RFC 8878, section 3.1.1.2) like klauspost/compress (zstd/blockenc.go). */

export interface ZstdTraits {
  /** The fraction by which a block must shrink to be compressed, as a shift. */
  readonly savedShift: number;
  /** Fewer literals are stored. */
  readonly minCoded: number;
  /** Whether a block without a match is stored. */
  readonly isRawStored: boolean;
  /** Whether literals are stored if coding does not make them smaller. */
  readonly isCompared: boolean;
  /** Whether a block of one repeated byte is an RLE block. */
  readonly hasRuns: boolean;
}

export interface ZstdBlockWriter {
  write(content: BlockContent, input: Uint8Array, isLast: boolean): void;
  /** Writes the last block, without content. */
  finish(): void;
}

const MIN_SPLIT = 1024;
const BLOCK_RAW = 0;
const BLOCK_RUN = 1;
const BLOCK_COMPRESSED = 2;

export function createZstdBlockWriter(traits: ZstdTraits, out: BitWriter): ZstdBlockWriter {
  const coder = createLiteralCoder();
  const body = createBitWriter();
  const sequences = createSequenceWriter(body);

  function header(type: number, size: number, isLast: boolean): void {
    const value = (size << 3) | (type << 1) | (isLast ? 1 : 0);
    out.bytes(Uint8Array.of(value, value >>> 8, value >>> 16));
  }

  function raw(input: Uint8Array, isLast: boolean): void {
    header(BLOCK_RAW, input.length, isLast);
    out.bytes(input);
  }

  function run(byte: number, size: number, isLast: boolean): void {
    header(BLOCK_RUN, size, isLast);
    out.bytes(Uint8Array.of(byte));
  }

  /** @param stored size of the header of stored literals, or 0 */
  function codeLiterals(literals: Uint8Array, stored: number): CodedLiterals {
    const { length } = literals;
    if (length <= traits.minCoded) return { kind: 'raw' };
    const coded = coder.code(literals, length >= MIN_SPLIT);
    if (!('bytes' in coded) || !traits.isCompared) return coded;
    const size = coded.bytes.length;
    const isSmaller = size + 5 <= length || size + codedHeader(coded, length).length < length + stored;
    return isSmaller ? coded : { kind: 'raw' };
  }

  function literalsOnly(literals: Uint8Array, isLast: boolean): void {
    const { length } = literals;
    if (length < 32 || traits.isRawStored) return raw(literals, isLast);
    const coded = codeLiterals(literals, 0);
    if (coded.kind === 'raw') return raw(literals, isLast);
    if (coded.kind === 'run') return run(literals[0]!, length, isLast);
    coder.allowReuse(true);
    const head = codedHeader(coded, length);
    header(BLOCK_COMPRESSED, head.length + coded.bytes.length + 1, isLast);
    out.bytes(head);
    out.bytes(coded.bytes);
    out.bytes(Uint8Array.of(0));
  }

  function writeLiterals(literals: Uint8Array): void {
    const head = storedHeader(literals.length);
    const coded = codeLiterals(literals, head.length);
    if (coded.kind === 'raw') {
      body.bytes(head);
      body.bytes(literals);
    } else if (coded.kind === 'run') {
      head[0]! |= 1;
      body.bytes(head);
      body.bytes(literals.subarray(0, 1));
    } else {
      body.bytes(codedHeader(coded, literals.length));
      body.bytes(coded.bytes);
      coder.allowReuse(true);
    }
  }

  return {
    finish: () => raw(new Uint8Array(), true),
    write(content, input, isLast) {
      const { literalCount, count, offsets, litLengths, matchLengths } = content;
      const literals = content.literals.subarray(0, literalCount);
      if (count === 0) {
        // older versions store a whole block at once
        if (!traits.isRawStored && input.length === BLOCK_SIZE) raw(input, isLast);
        else literalsOnly(literals, isLast);
        return;
      }
      const isRun = count === 1 && literalCount <= 1 && litLengths[0] === literalCount && offsets[0] === 4;
      if (traits.hasRuns && isRun) return run(input[0]!, matchLengths[0]! + 3 + literalCount, isLast);
      if (input.length - literalCount - (input.length >> traits.savedShift) < 16) {
        return literalsOnly(input, isLast);
      }
      writeLiterals(literals);
      const isCoded = sequences.write(content);
      const made = body.take();
      if (isCoded && made.length < input.length) {
        header(BLOCK_COMPRESSED, made.length, isLast);
        out.bytes(made);
        return;
      }
      sequences.undo();
      raw(input, isLast);
      coder.allowReuse(false);
    },
  };
}

/** Header of raw literals (section 3.1.1.3.1.1). */
function storedHeader(size: number): Uint8Array {
  if (size < 16) return Uint8Array.of(size << 3);
  if (size < 2048) return bytesOf((1 << 2) | (size << 4), 2);
  return bytesOf((3 << 2) | (size << 4), 3);
}

function codedHeader({ kind, bytes }: Extract<CodedLiterals, { bytes: unknown }>, size: number): Uint8Array {
  const type = kind === 'new' ? 2 : 3;
  const bits = highBit(Math.max(size, bytes.length)) + 1;
  // small literals are in one stream
  const [format, width, count] = bits <= 10 ? [0, 10, 3] : bits <= 14 ? [2, 14, 4] : [3, 18, 5];
  return bytesOf(type + format * 4 + size * 16 + bytes.length * 2 ** (width + 4), count);
}

function bytesOf(value: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
