const ROOM = 2 ** 15;

/** Collects copies within the target window and runs them in order. */
export class TargetCopies {
  readonly #from = new Uint32Array(ROOM);
  readonly #to = new Uint32Array(ROOM);
  readonly #lengths = new Uint32Array(ROOM);
  #count = 0;

  /** Whether the next opcode, which may be two copies, might not fit. */
  get nearlyFull(): boolean {
    return this.#count > ROOM - 2;
  }

  add(from: number, to: number, length: number): void {
    const index = this.#count++;
    this.#from[index] = from;
    this.#to[index] = to;
    this.#lengths[index] = length;
  }

  /** Runs the collected copies. */
  run(window: Uint8Array): void {
    for (let i = 0; i < this.#count; i++) {
      copyForward(window, this.#from[i]!, this.#to[i]!, this.#lengths[i]!);
    }
    this.#count = 0;
  }
}

/** Copies as if byte by byte: overlapping ranges read bytes that were just written. */
function copyForward(window: Uint8Array, from: number, to: number, length: number): void {
  const distance = to - from;
  // the written bytes repeat every `distance` bytes, so each round can copy twice as much
  for (let done = 0; done < length;) {
    const size = Math.min(distance + done, length - done);
    window.copyWithin(to + done, from, from + size);
    done += size;
  }
}
