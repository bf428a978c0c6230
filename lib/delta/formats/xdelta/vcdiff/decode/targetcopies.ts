const ROOM = 2 ** 15;

/** Copies within the target window, collected and then done in their order. */
export class TargetCopies {
  readonly #from = new Uint32Array(ROOM);
  readonly #to = new Uint32Array(ROOM);
  readonly #lengths = new Uint32Array(ROOM);
  #count = 0;

  /** Whether the next opcode, which may stand for two copies, could be one too many. */
  get nearlyFull(): boolean {
    return this.#count > ROOM - 2;
  }

  add(from: number, to: number, length: number): void {
    const index = this.#count++;
    this.#from[index] = from;
    this.#to[index] = to;
    this.#lengths[index] = length;
  }

  /** Does the copies and forgets them. */
  run(window: Uint8Array): void {
    for (let i = 0; i < this.#count; i++) {
      copyForward(window, this.#from[i]!, this.#to[i]!, this.#lengths[i]!);
    }
    this.#count = 0;
  }
}

/** Byte by byte in effect: where the two overlap, what was just written is read again. */
function copyForward(window: Uint8Array, from: number, to: number, length: number): void {
  const distance = to - from;
  // What is there repeats every `distance` bytes, so each round can copy twice as much.
  for (let done = 0; done < length;) {
    const size = Math.min(distance + done, length - done);
    window.copyWithin(to + done, from, from + size);
    done += size;
  }
}
