import { ADD_DATA, COPY } from './format.ts';
import type { OpWriter } from './opwriter.ts';

/** Most bytes of one ADD_DATA. */
const CAPACITY = 256 * 1024;

/**
 * Equal bytes between two ADD_DATA from which on they become a COPY. As zeros within an ADD_DATA, equal bytes let zstd
 * find longer matches: on executables a short COPY costs more than it saves. A long COPY saves time and space in
 * zstd's window.
 */
const MIN_COPY_BETWEEN = 256;
/** The same in front of the first ADD_DATA and behind the last. */
const MIN_COPY_BESIDE = 16;

/** Turns runs of source and target that stand at one distance into COPY and ADD_DATA. */
export class DifferenceWriter {
  readonly #out: OpWriter;
  readonly #differences = new Uint8Array(CAPACITY);
  #size = 0;
  /** Equal bytes behind the differences. */
  #equal = 0;

  constructor(out: OpWriter) {
    this.#out = out;
  }

  addEqual(size: number): void {
    this.#equal += size;
  }

  /** Both have the same length. */
  add(source: Uint8Array, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) {
      const difference = (target[i]! - source[i]!) & 0xff;
      if (difference === 0) {
        this.#equal++;
        continue;
      }
      if (this.#equal > 0) this.#settle(this.#size > 0 ? MIN_COPY_BETWEEN : MIN_COPY_BESIDE);
      if (this.#size === CAPACITY) this.#flushDifferences();
      this.#differences[this.#size++] = difference;
    }
  }

  /** To be called where the run ends. */
  flush(): void {
    if (this.#equal > 0) this.#settle(this.#size > 0 ? MIN_COPY_BESIDE : 0);
    this.#flushDifferences();
  }

  #settle(minCopy: number): void {
    const equal = this.#equal;
    this.#equal = 0;
    if (equal >= minCopy) {
      this.#flushDifferences();
      this.#out.op(COPY, equal);
      return;
    }
    if (this.#size + equal > CAPACITY) this.#flushDifferences();
    this.#differences.fill(0, this.#size, this.#size + equal);
    this.#size += equal;
  }

  #flushDifferences(): void {
    if (this.#size === 0) return;
    this.#out.op(ADD_DATA, this.#size);
    this.#out.bytes(this.#differences.subarray(0, this.#size));
    this.#size = 0;
  }
}
