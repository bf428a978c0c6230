import { PanamaxError } from '../errors.ts';

const NONE: Uint8Array = new Uint8Array(0);

/** Bytes that are read one at a time. */
export interface ByteSource {
  byte(): number;
}

/** Reads a patch that arrives in pieces. Bytes that `fill` has waited for are then read without waiting. */
export class PatchReader implements ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = NONE;
  #at = 0;
  #ended = false;

  constructor(patch: AsyncIterable<Uint8Array>) {
    this.#pieces = patch[Symbol.asyncIterator]();
  }

  /** Waits until `size` bytes are at hand or the patch has ended; says how many are at hand. */
  async fill(size: number): Promise<number> {
    while (this.#piece.length - this.#at < size && !this.#ended) {
      const next = await this.#pieces.next();
      if (next.done) {
        this.#ended = true;
      } else if (this.#at === this.#piece.length) {
        this.#piece = next.value;
        this.#at = 0;
      } else {
        this.#piece = Buffer.concat([this.#piece.subarray(this.#at), next.value]);
        this.#at = 0;
      }
    }
    return this.#piece.length - this.#at;
  }

  byte(): number {
    if (this.#at === this.#piece.length) throw endsEarly();
    return this.#piece[this.#at++]!;
  }

  /** The next `size` bytes, in memory of their own. */
  async take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(size);
    await this.readInto(bytes);
    return bytes;
  }

  /** Fills `target` with the next bytes. */
  async readInto(target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length;) {
      if ((await this.fill(1)) === 0) throw endsEarly();
      const part = this.#piece.subarray(this.#at, this.#at + target.length - done);
      target.set(part, done);
      this.#at += part.length;
      done += part.length;
    }
  }

  /** Tells the producer of the patch that nothing more is wanted. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}

function endsEarly(): PanamaxError {
  return new PanamaxError('bad-patch', 'the patch ends early');
}
