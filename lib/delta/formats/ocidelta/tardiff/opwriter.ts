/** Encodes operations (see format.ts). */
export class OpWriter {
  #bytes = Buffer.allocUnsafe(512 * 1024);
  #size = 0;

  /** Size of the bytes that `take` returns. */
  get size(): number {
    return this.#size;
  }

  /** Opcode and size; for some operations `bytes` has to follow. */
  op(code: number, size: number): void {
    this.#reserve(16);
    this.#bytes[this.#size++] = code;
    let rest = size;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.#bytes[this.#size++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#size++] = rest;
  }

  bytes(piece: Uint8Array): void {
    this.#reserve(piece.length);
    this.#bytes.set(piece, this.#size);
    this.#size += piece.length;
  }

  /** The bytes since the last call, in memory of their own. */
  take(): Uint8Array {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#size));
    this.#size = 0;
    return taken;
  }

  #reserve(room: number): void {
    if (this.#size + room <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#size + room));
    this.#bytes.copy(wider, 0, 0, this.#size);
    this.#bytes = wider;
  }
}
