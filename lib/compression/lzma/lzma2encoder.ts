import { encodeProperties, type Properties } from './properties.ts';
import { instantiate } from './module.ts';

/** Control bytes of LZMA2. */
const LZMA = 0x80;
const RESET_STATE = 0x40;
const RESET_ALL = 0x60;
const STORED = 2;
const STORED_WITH_RESET = 1;

/** More than any stream has. */
const UNKNOWN = 2 ** 32 - 1;

export interface EncoderSettings {
  readonly properties: Properties;
  /** Maximum size of a piece in bytes. */
  readonly maxPiece: number;
  /** Maximum distance of a match in bytes, below 16 MiB. */
  readonly window: number;
  /** Size of all pieces in bytes, if it is known: a small stream takes little memory. */
  readonly streamSize?: number;
  /** Logarithm of the number of the match finder's rows, which take 64 bytes each. */
  readonly rowCountBits: number;
  /** Candidates per hash, up to 16. */
  readonly depth: number;
  /** A match of this length is taken at once. */
  readonly niceLength: number;
  /** Whether symbols are chosen by price, which takes about four times as long as lazy matching, for fewer bytes. */
  readonly optimal: boolean;
}

/**
 * Compresses pieces of an LZMA2 stream. Each piece starts with initial probabilities but may copy from earlier
 * pieces. So several encoders that all see the whole stream can share its pieces, and the output for a piece depends
 * only on the stream. Packages with liblzma need native builds, and cannot cut a stream so.
 */
export class Lzma2Encoder {
  readonly #functions = instantiate();
  readonly #memory: Uint8Array;
  // a window and a piece: contents move with each piece, which takes far less time than its compression
  readonly #buffer: Uint8Array;
  readonly #window: number;
  readonly #properties: Properties;
  // offset of the next piece in the buffer
  #end = 0;
  #dictionaryReset = false;
  // whether the decoder has its properties and probabilities
  #stateReset = false;

  constructor(settings: EncoderSettings) {
    const { properties, window, maxPiece, streamSize, rowCountBits, depth, niceLength, optimal } = settings;
    const size = Math.min(window + maxPiece, streamSize ?? Infinity);
    const start = this.#functions.encoder_start(
      size,
      window,
      rowCountBits,
      depth,
      streamSize ?? UNKNOWN,
      properties.lc,
      properties.lp,
      properties.pb,
      niceLength,
      optimal ? 1 : 0,
    );
    // all memory is taken at the start
    this.#memory = new Uint8Array(this.#functions.memory.buffer);
    this.#buffer = this.#memory.subarray(start, start + size);
    this.#window = window;
    this.#properties = properties;
  }

  /** Adds a piece that another encoder compresses, to copy from. */
  skip(piece: Uint8Array): void {
    this.#append(piece);
    this.#dictionaryReset = true;
    this.#functions.encoder_enter(this.#end);
  }

  /**
   * Compresses a piece. No chunk crosses a cut.
   *
   * @param cuts offsets in the piece, ascending; the last one is its length
   * @returns the LZMA2 chunks of each part, up to each cut
   */
  encode(piece: Uint8Array, cuts: readonly number[]): Uint8Array[] {
    const start = this.#append(piece);
    this.#functions.encoder_reset();
    this.#stateReset = false;
    const parts = cuts.map((cut, i) => this.#part(start + (cuts[i - 1] ?? 0), start + cut));
    this.#functions.encoder_enter(this.#end);
    return parts;
  }

  #append(piece: Uint8Array): number {
    if (this.#end + piece.length > this.#buffer.length) {
      const moved = this.#end - this.#window;
      this.#buffer.copyWithin(0, moved, this.#end);
      this.#end -= moved;
      this.#functions.encoder_move(moved);
    }
    const start = this.#end;
    this.#buffer.set(piece, start);
    this.#end += piece.length;
    return start;
  }

  #part(start: number, end: number): Uint8Array {
    const functions = this.#functions;
    const chunks: Uint8Array[] = [];
    for (let at = start; at < end;) {
      const chunkEnd = functions.encoder_chunk(at, end);
      const size = functions.encoder_output_size();
      if (size < chunkEnd - at) {
        const output = functions.encoder_output();
        chunks.push(this.#lzmaHeader(chunkEnd - at, size), this.#memory.slice(output, output + size));
      } else {
        functions.encoder_restore();
        chunks.push(this.#storedHeader(chunkEnd - at), this.#buffer.slice(at, chunkEnd));
      }
      at = chunkEnd;
    }
    return Buffer.concat(chunks);
  }

  #lzmaHeader(size: number, compressedSize: number): Uint8Array {
    const reset = this.#stateReset ? 0 : this.#dictionaryReset ? RESET_STATE : RESET_ALL;
    this.#stateReset = true;
    this.#dictionaryReset = true;
    const last = size - 1;
    const output = compressedSize - 1;
    const header = [LZMA | reset | (last >>> 16), (last >>> 8) & 255, last & 255, output >>> 8, output & 255];
    return Uint8Array.from(reset === 0 ? header : [...header, encodeProperties(this.#properties)]);
  }

  #storedHeader(size: number): Uint8Array {
    const control = this.#dictionaryReset ? STORED : STORED_WITH_RESET;
    this.#dictionaryReset = true;
    return Uint8Array.of(control, (size - 1) >>> 8, (size - 1) & 255);
  }
}
