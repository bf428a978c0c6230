import type { Properties } from './properties.ts';
import { instantiate } from './module.ts';

/**
 * Decodes LZMA into a dictionary, which is a ring buffer in the memory of wasm/lzma.rs. Written here, because the existing
 * packages need native builds at sites. Safe for any input: it stops at the requested length, and reports at the end
 * whether the chunk was sound.
 */
export class LzmaDecoder {
  readonly #functions = instantiate();
  #view = new Uint8Array();

  /** @param size of the dictionary in bytes, a multiple of 16 */
  constructor(size: number) {
    this.#functions.decoder_start(size);
  }

  resetDictionary(): void {
    this.#functions.decoder_reset_dictionary();
  }

  /** Goes back to initial probabilities. */
  resetState(): void {
    this.#functions.decoder_reset_state();
  }

  setProperties({ lc, lp, pb }: Properties): void {
    this.#functions.decoder_set_properties(lc, lp, pb);
  }

  /** Starts a chunk of 5 to 65,536 compressed bytes. */
  startChunk(chunk: Uint8Array): void {
    this.#memory.set(chunk, this.#functions.decoder_chunk());
    this.#functions.decoder_start_chunk(chunk.length);
  }

  /** Whether decoding used all bytes of the chunk and no distance pointed outside the dictionary. */
  get isSound(): boolean {
    return this.#functions.decoder_is_sound() !== 0;
  }

  /** Bytes that can be appended at once, before the dictionary grows or wraps around. */
  get room(): number {
    return this.#functions.decoder_room();
  }

  /** Appends uncompressed bytes, at most those of the room. */
  store(bytes: Uint8Array): void {
    this.#memory.set(bytes, this.#functions.decoder_position());
    this.#functions.decoder_advance(bytes.length);
  }

  /** Decodes bytes until `target` is full, at most those of the room. */
  decode(target: Uint8Array): void {
    const { length } = target;
    this.#functions.decoder_run(length);
    const position = this.#functions.decoder_position();
    target.set(this.#memory.subarray(position, position + length));
    this.#functions.decoder_advance(length);
  }

  /** A view of the memory, which ends when the dictionary grows. */
  get #memory(): Uint8Array {
    if (this.#view.length === 0) this.#view = new Uint8Array(this.#functions.memory.buffer);
    return this.#view;
  }
}
