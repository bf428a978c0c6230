import { PanamaxError } from '../../../errors.ts';
import { embeddedModule } from '../../../compression/embedded.ts';
import { CODE } from './freshcode.ts';

/**
 * Codes the new bytes of a mixed patch by predictions of each bit from the bytes before. The models are in the memory of
 * wasm/fresh.rs, which is the definition, and last from run to run.
 */

/** Functions of wasm/fresh.rs, which has the meaning of each. */
interface FreshFunctions {
  readonly start: () => void;
  readonly bytes: () => number;
  readonly coded: (size: number) => number;
  readonly begin_encoding: () => void;
  readonly encode: (size: number) => void;
  readonly end_encoding: () => number;
  readonly begin_decoding: (size: number) => void;
  readonly decode: (size: number) => void;
  readonly is_sound: () => number;
}

const instantiate = embeddedModule<FreshFunctions>(CODE);

/** Bytes that are coded at once. */
const PIECE = 64 * 1024;
/** A run is at most twice as long as its bytes, and so much more. */
const OVERHEAD = 64;

type Instance = ReturnType<typeof startInstance>;

function startInstance() {
  const functions = instantiate();
  functions.start();
  return {
    functions,
    /** A view of the memory, valid until the next call. */
    at: (place: number, size: number) => new Uint8Array(functions.memory.buffer, place, size),
  };
}

export class FreshEncoder {
  readonly #instance: Instance = startInstance();

  /** Codes the next bytes as a run. */
  encode(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const { functions, at } = this.#instance;
    const coded = functions.coded(2 * bytes.length + OVERHEAD);
    functions.begin_encoding();
    for (let start = 0; start < bytes.length; start += PIECE) {
      const piece = bytes.subarray(start, start + PIECE);
      at(functions.bytes(), piece.length).set(piece);
      functions.encode(piece.length);
    }
    return at(coded, functions.end_encoding()).slice();
  }
}

export class FreshDecoder {
  readonly #instance: Instance = startInstance();

  /** Starts on a run. */
  open(coded: Uint8Array): void {
    const { functions, at } = this.#instance;
    at(functions.coded(coded.length), coded.length).set(coded);
    functions.begin_decoding(coded.length);
  }

  /** Decodes the next bytes of the run, into memory of their own. */
  take(size: number): Uint8Array<ArrayBuffer> {
    const { functions, at } = this.#instance;
    const bytes = new Uint8Array(size);
    for (let start = 0; start < size; start += PIECE) {
      const count = Math.min(PIECE, size - start);
      functions.decode(count);
      bytes.set(at(functions.bytes(), count), start);
    }
    return bytes;
  }

  /** @throws PanamaxError `bad-patch` unless the bytes taken needed all of the run, and no more */
  close(): void {
    if (this.#instance.functions.is_sound() === 0) {
      throw new PanamaxError('bad-patch', 'a run of new bytes is too short or too long');
    }
  }
}
