/** The input that a thread is at, where another thread can read it although the first one does not answer. */
import { MAX_INPUT } from './mutate.ts';

const HEAD = 8;

export interface Board {
  begin(input: Uint8Array): void;
  end(): void;
  /** Grows with each input. */
  readonly count: number;
  /** The input that is being decoded; undefined between inputs. */
  readonly input: Buffer | undefined;
}

export function createBoard(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD + MAX_INPUT);
}

export function openBoard(shared: SharedArrayBuffer): Board {
  const state = new Int32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, HEAD);
  return {
    begin(input) {
      bytes.set(input.subarray(0, MAX_INPUT));
      Atomics.add(state, 0, 1);
      Atomics.store(state, 1, Math.min(input.length, MAX_INPUT) + 1);
    },
    end: () => void Atomics.store(state, 1, 0),
    get count() {
      return Atomics.load(state, 0);
    },
    get input() {
      const size = Atomics.load(state, 1) - 1;
      return size < 0 ? undefined : Buffer.from(bytes.subarray(0, size));
    },
  };
}
