import { crc32 } from 'node:zlib';
import { PanamaxError } from '../../errors.ts';
import { LzmaDecoder } from './decoder.ts';
import { decodeProperties } from './properties.ts';
import { BLOCK_HEADER_SIZE, dictionarySize, LZMA2_FILTER, STREAM_HEADER_SIZE, STREAM_MAGIC } from './xz.ts';

/** The next expected part outside of chunks. */
type Expected = 'stream header' | 'block header' | 'first chunk' | 'chunk';

/**
 * Decodes one .xz stream (the .xz file format, version 1.1) with one LZMA2 filter and no check, like xdelta3's:
 * sections that each end with a chunk, and no end of the stream.
 *
 * @throws PanamaxError `bad-patch`; `limit` if the dictionary is too large
 */
export class XzDecoder {
  readonly #maxDictionary: number;
  #expected: Expected = 'stream header';
  #decoder: LzmaDecoder | undefined;
  #needsProperties = true;
  #input: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #at = 0;
  // remaining bytes of the open chunk, and whether they are compressed
  #chunkLeft = 0;
  #chunkCompressed = false;

  constructor(maxDictionary: number) {
    this.#maxDictionary = maxDictionary;
  }

  /** Starts the next section. The last one must be finished. */
  open(section: Uint8Array<ArrayBuffer>): void {
    this.#input = section;
    this.#at = 0;
  }

  /** Decodes the next bytes into target[start, end). */
  read(target: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      while (this.#chunkLeft === 0) this.#next();
      const decoder = this.#decoder!;
      const part = target.subarray(at, at + Math.min(end - at, this.#chunkLeft, decoder.room));
      const size = part.length;
      if (this.#chunkCompressed) {
        decoder.decode(part);
      } else {
        part.set(this.#take(size));
        decoder.store(part);
      }
      at += size;
      this.#chunkLeft -= size;
      if (this.#chunkLeft === 0 && this.#chunkCompressed && !decoder.isSound) throw damaged('an LZMA chunk');
    }
  }

  /** Throws unless the section was used to its last byte. */
  finish(): void {
    if (this.#at < this.#input.length || this.#chunkLeft > 0) throw damaged('the end of a section');
  }

  #next(): void {
    switch (this.#expected) {
      case 'stream header':
        this.#streamHeader();
        this.#expected = 'block header';
        break;
      case 'block header':
        this.#blockHeader();
        this.#expected = 'first chunk';
        break;
      case 'first chunk':
      case 'chunk':
        this.#chunkHeader(this.#expected === 'first chunk');
        this.#expected = 'chunk';
    }
  }

  #streamHeader(): void {
    const header = this.#take(STREAM_HEADER_SIZE);
    const magic = STREAM_MAGIC.every((byte, i) => header[i] === byte);
    if (!magic || uint32(header, 8) !== crc32(header.subarray(6, 8))) throw damaged('the stream header');
    if (header[6] !== 0 || header[7] !== 0) throw damaged('the stream flags, which have to name no check');
  }

  #blockHeader(): void {
    const header = this.#take(BLOCK_HEADER_SIZE);
    const body = header.subarray(0, -4);
    if (uint32(header, body.length) !== crc32(body)) throw damaged('a block header');
    const expected = [BLOCK_HEADER_SIZE / 4 - 1, 0, LZMA2_FILTER, 1, body[4], 0, 0, 0];
    const size = dictionarySize(body[4]!);
    if (size === undefined || !expected.every((byte, i) => body[i] === byte)) {
      throw damaged('a block header, which has to name LZMA2 alone and no sizes');
    }
    if (size > this.#maxDictionary) {
      throw new PanamaxError('limit', 'the LZMA dictionary is too large', {
        expected: `at most ${this.#maxDictionary}`,
        found: size,
      });
    }
    this.#decoder = new LzmaDecoder(size);
  }

  /** Reads a chunk header of LZMA2 (section 5.3.1; liblzma's lzma2_decoder.c for the control byte). */
  #chunkHeader(isFirst: boolean): void {
    const decoder = this.#decoder!;
    const control = this.#take(1)[0]!;
    if (control === 0) throw damaged('LZMA2, which ends before the section does');
    const resetsDictionary = control >= 0xe0 || control === 1;
    if (isFirst && !resetsDictionary) throw damaged('the first chunk');
    if (resetsDictionary) {
      decoder.resetDictionary();
      this.#needsProperties = true;
    }
    this.#chunkCompressed = control >= 0x80;
    if (!this.#chunkCompressed) {
      if (control > 2) throw damaged('a control byte');
      this.#chunkLeft = uint16(this.#take(2), 0) + 1;
      return;
    }
    const sizes = this.#take(4);
    this.#chunkLeft = ((control & 0x1f) << 16) + uint16(sizes, 0) + 1;
    const compressedSize = uint16(sizes, 2) + 1;
    if (control >= 0xc0) {
      const properties = decodeProperties(this.#take(1)[0]!);
      if (properties === undefined) throw damaged('the LZMA properties');
      decoder.setProperties(properties);
      decoder.resetState();
      this.#needsProperties = false;
    } else if (this.#needsProperties) {
      throw damaged('a chunk that lacks properties');
    } else if (control >= 0xa0) {
      decoder.resetState();
    }
    if (compressedSize < 5) throw damaged('the size of a chunk');
    decoder.startChunk(this.#take(compressedSize));
  }

  #take(size: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#input.subarray(this.#at, this.#at + size);
    if (bytes.length < size) throw new PanamaxError('bad-patch', 'a section of LZMA ends early');
    this.#at += size;
    return bytes;
  }
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function damaged(what: string): PanamaxError {
  return new PanamaxError('bad-patch', `damaged LZMA: ${what}`);
}
