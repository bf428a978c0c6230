import type { Cut, CutAlignment } from './cut.ts';
import { Instructions } from './instructions.ts';
import type { RandomAccess } from '../../../../randomaccess.ts';
import { SourceCopies } from '../sourcecopies.ts';

/** Estimated costs after LZMA, in bits. */
const BITS_PER_ADDED_BYTE = 4;
const BITS_PER_COPY = 20;
const BITS_PER_NEW_DISTANCE = 64;
/** Equal bytes between two differences that pay for a copy. */
const MIN_RUN = Math.ceil(BITS_PER_COPY / BITS_PER_ADDED_BYTE);

/** Turns the alignments of successive windows into instructions: copies and additions. */
export class Planner {
  readonly #source: RandomAccess;
  readonly #copies = new SourceCopies();
  /** The aligned source byte of each byte of the window. */
  #counterpart = new Uint8Array(0);
  readonly #instructions = new Instructions();
  /** Source offset minus target offset of the previous copy. */
  #distance = 0;

  constructor(source: RandomAccess) {
    this.#source = source;
  }

  /** @returns instructions that are valid until the next call */
  async plan(cut: Cut, window: Uint8Array): Promise<Instructions> {
    if (this.#counterpart.length < window.length) this.#counterpart = new Uint8Array(window.length);
    await this.#readCounterparts(cut);
    const instructions = this.#instructions;
    instructions.clear();
    let done = 0;
    for (const alignment of cut.alignments) {
      const distance = alignment.source - (cut.start + alignment.at);
      const runs = alignment.exact ? [0, alignment.size] : this.#equalRuns(alignment, window);
      if (gain(runs) <= (distance === this.#distance ? 0 : BITS_PER_NEW_DISTANCE)) continue;
      for (let i = 0; i < runs.length; i += 2) {
        const from = alignment.at + runs[i]!;
        const to = alignment.at + runs[i + 1]!;
        instructions.add(from - done);
        instructions.copy(to - from, alignment.source + runs[i]!);
        done = to;
      }
      this.#distance = distance;
    }
    instructions.add(window.length - done);
    return instructions;
  }

  async #readCounterparts(cut: Cut): Promise<void> {
    for (const { at, size, source, exact } of cut.alignments) {
      if (exact) continue;
      this.#copies.add(source - cut.segmentOffset, at, size);
      if (this.#copies.nearlyFull) await this.#copies.run(this.#source, cut.segmentOffset, this.#counterpart);
    }
    await this.#copies.run(this.#source, cut.segmentOffset, this.#counterpart);
  }

  /** Runs of equal bytes that pay for a copy: [start, end, start, end, …] within the alignment. */
  #equalRuns({ at, size }: CutAlignment, window: Uint8Array): number[] {
    const counterpart = this.#counterpart;
    const runs: number[] = [];
    for (let i = 0; i < size;) {
      while (i < size && window[at + i] !== counterpart[at + i]) i++;
      const start = i;
      while (i < size && window[at + i] === counterpart[at + i]) i++;
      if (i - start >= MIN_RUN) runs.push(start, i);
    }
    return runs;
  }
}

/** Bits saved by copying runs at the current distance. */
function gain(runs: readonly number[]): number {
  let bits = 0;
  for (let i = 0; i < runs.length; i += 2)
    bits += (runs[i + 1]! - runs[i]!) * BITS_PER_ADDED_BYTE - BITS_PER_COPY;
  return bits;
}
