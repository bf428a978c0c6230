import { TEXT_MARGIN } from '../words.ts';
import { SymbolCoder } from './coder.ts';
import { LazyParser } from './lazyparser.ts';
import { MatchFinder, MIN_HASHED } from './matchfinder.ts';
import { encodeProperties, type Properties } from './model.ts';
import { OptimalParser } from './optimalparser.ts';
import { RangeEncoder } from './rangeencoder.ts';
import { FIRST_MATCH_STEP, LITERAL_STEP, type Parser } from './symbols.ts';

const MAX_CHUNK_OUTPUT = 2 ** 16;
const MAX_CHUNK_INPUT = 2 ** 21;
/** Upper bounds of the input and output of one parse, in bytes. */
const PARSED_INPUT = 2 ** 11;
const PARSED_OUTPUT = 2 ** 14;

/** Control bytes of LZMA2. */
const LZMA = 0x80;
const RESET_STATE = 0x40;
const RESET_ALL = 0x60;
const STORED = 2;
const STORED_WITH_RESET = 1;

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
  /** Whether symbols are chosen by price, which takes three times as long as lazy matching. */
  readonly optimal: boolean;
}

/**
 * Compresses pieces of an LZMA2 stream. Each piece starts with initial probabilities but may copy from earlier
 * pieces. So several encoders that all see the whole stream can share its pieces, and the output for a piece depends
 * only on the stream. Packages with liblzma need native builds, and cannot cut a stream so.
 */
export class Lzma2Encoder {
  // a window and two pieces, so that contents move with every other piece at most
  readonly #buffer: Uint8Array;
  readonly #window: number;
  readonly #finder: MatchFinder;
  readonly #range = new RangeEncoder(MAX_CHUNK_OUTPUT);
  readonly #coder: SymbolCoder;
  readonly #parser: Parser;
  // offset of the next piece in the buffer
  #end = 0;
  #dictionaryReset = false;
  // whether the decoder has its properties and probabilities
  #stateReset = false;

  constructor(settings: EncoderSettings) {
    const size = Math.min(settings.window + 2 * settings.maxPiece, settings.streamSize ?? Infinity);
    const view = new DataView(new ArrayBuffer(size + TEXT_MARGIN));
    this.#buffer = new Uint8Array(view.buffer, 0, size);
    this.#window = settings.window;
    const { window, rowCountBits, depth, streamSize } = settings;
    this.#finder = new MatchFinder(view, window, rowCountBits, depth, streamSize);
    this.#coder = new SymbolCoder(this.#range, settings.properties);
    const ParserOfChoice = settings.optimal ? OptimalParser : LazyParser;
    this.#parser = new ParserOfChoice(view, this.#finder, this.#coder, settings.niceLength);
  }

  /** Adds a piece that another encoder compresses, to copy from. */
  skip(piece: Uint8Array): void {
    this.#append(piece);
    this.#dictionaryReset = true;
    this.#finder.enterUntil(this.#end - MIN_HASHED + 1);
  }

  /**
   * Compresses a piece. No chunk crosses a cut.
   *
   * @param cuts offsets in the piece, ascending; the last one is its length
   * @returns the LZMA2 chunks of each part, up to each cut
   */
  encode(piece: Uint8Array, cuts: readonly number[]): Uint8Array[] {
    const start = this.#append(piece);
    this.#coder.reset();
    this.#parser.reset();
    this.#stateReset = false;
    const parts = cuts.map((cut, i) => this.#part(start + (cuts[i - 1] ?? 0), start + cut));
    this.#finder.enterUntil(this.#end - MIN_HASHED + 1);
    return parts;
  }

  #append(piece: Uint8Array): number {
    if (this.#end + piece.length > this.#buffer.length) {
      const moved = this.#end - this.#window;
      this.#buffer.copyWithin(0, moved, this.#end);
      this.#end -= moved;
      this.#finder.move(moved);
    }
    const start = this.#end;
    this.#buffer.set(piece, start);
    this.#end += piece.length;
    return start;
  }

  #part(start: number, end: number): Uint8Array {
    const chunks: Uint8Array[] = [];
    for (let at = start; at < end;) {
      const saved = this.#coder.save();
      const chunkEnd = this.#compress(at, end);
      if (this.#range.size < chunkEnd - at) {
        chunks.push(this.#lzmaHeader(chunkEnd - at), this.#range.output.slice(0, this.#range.size));
      } else {
        this.#coder.restore(saved);
        chunks.push(this.#storedHeader(chunkEnd - at), this.#buffer.slice(at, chunkEnd));
      }
      at = chunkEnd;
    }
    return Buffer.concat(chunks);
  }

  /** Fills the range coder's output. @returns the end of the compressed input in the buffer */
  #compress(start: number, end: number): number {
    const range = this.#range;
    range.start();
    let at = start;
    while (
      at < end &&
      at - start < MAX_CHUNK_INPUT - PARSED_INPUT &&
      range.size < MAX_CHUNK_OUTPUT - PARSED_OUTPUT
    ) {
      const symbols = this.#parser.parse(at, end);
      for (let i = 0; i < symbols; i++)
        at = this.#symbol(at, this.#parser.lengths[i]!, this.#parser.steps[i]!);
    }
    range.finish();
    return at;
  }

  #symbol(at: number, length: number, step: number): number {
    const buffer = this.#buffer;
    const coder = this.#coder;
    if (step >= FIRST_MATCH_STEP) coder.match(at, step - FIRST_MATCH_STEP, length);
    else if (step !== LITERAL_STEP) coder.rep(at, step, length);
    else coder.literal(at, buffer[at - 1] ?? 0, buffer[at]!, buffer[at - coder.reps[0]! - 1] ?? 0);
    return at + length;
  }

  #lzmaHeader(size: number): Uint8Array {
    const reset = this.#stateReset ? 0 : this.#dictionaryReset ? RESET_STATE : RESET_ALL;
    this.#stateReset = true;
    this.#dictionaryReset = true;
    const last = size - 1;
    const output = this.#range.size - 1;
    const header = [LZMA | reset | (last >>> 16), (last >>> 8) & 255, last & 255, output >>> 8, output & 255];
    return Uint8Array.from(reset === 0 ? header : [...header, encodeProperties(this.#coder.properties)]);
  }

  #storedHeader(size: number): Uint8Array {
    const control = this.#dictionaryReset ? STORED : STORED_WITH_RESET;
    this.#dictionaryReset = true;
    return Uint8Array.of(control, (size - 1) >>> 8, (size - 1) & 255);
  }
}
