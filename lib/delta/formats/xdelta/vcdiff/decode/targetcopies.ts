/** Copies that are collected at most, and the room for them at first: most patches are small. */
const ROOM = 2 ** 15;
const FIRST_ROOM = 2 ** 8;

/** Collects copies within the target window and runs them in order. */
export class TargetCopies {
  #from = new Uint32Array(FIRST_ROOM);
  #to = new Uint32Array(FIRST_ROOM);
  #lengths = new Uint32Array(FIRST_ROOM);
  #count = 0;

  /** Whether the next opcode, which may be two copies, might not fit. */
  get nearlyFull(): boolean {
    return this.#count > ROOM - 2;
  }

  add(from: number, to: number, length: number): void {
    if (this.#count === this.#lengths.length) this.#grow();
    const index = this.#count++;
    this.#from[index] = from;
    this.#to[index] = to;
    this.#lengths[index] = length;
  }

  #grow(): void {
    this.#from = doubled(this.#from);
    this.#to = doubled(this.#to);
    this.#lengths = doubled(this.#lengths);
  }

  /** Runs the collected copies. */
  run(window: Uint8Array): void {
    for (let i = 0; i < this.#count; i++) {
      copyForward(window, this.#from[i]!, this.#to[i]!, this.#lengths[i]!);
    }
    this.#count = 0;
  }
}

function doubled(old: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * old.length);
  larger.set(old);
  return larger;
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
