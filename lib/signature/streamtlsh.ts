import { Worker } from 'node:worker_threads';
import { PanamaxError } from '../errors.ts';
import type { TarEntry } from '../tar/entry.ts';
import { threadModule } from '../thread.ts';
import type { TlshAnswer, TlshRequest } from './tlshthread.ts';

/** TLSHs of parts of a file, one after the other, in a thread of its own, while the file is still being written. */
export interface StreamTlsh {
  /** Appends bytes of the file, which have to be there by now. */
  add(offset: number, size: number): void;
  /** Appends the content of an entry whose stored bytes begin at `offset`, holes as zeros. */
  addContent(entry: Pick<TarEntry, 'size' | 'sparse' | 'bodySize'>, offset: number): void;
  /** Of all that was appended; then the next one begins. */
  digest(): Promise<string | null>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Ranges that go to the thread at once, at most, and their bytes. */
const MOST_RANGES = 4096;
const MOST_BYTES = 1024 ** 2;
const HOLE = -1;

/** @param path a file that is there; may be removed when this has been disposed of */
export function createStreamTlsh(path: string): StreamTlsh {
  const worker = new Worker(threadModule('./tlshthread', import.meta.url), { workerData: path });
  const waiting: PromiseWithResolvers<string | null>[] = [];
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (answer: TlshAnswer) => {
    if ('digest' in answer) waiting.shift()!.resolve(answer.digest);
    else fail(new PanamaxError('io', `cannot hash the layer stream: ${answer.failure}`, { where: path }));
  });
  worker.on('error', fail);
  worker.on('exit', (code) => fail(new PanamaxError('internal', `thread ended with code ${code}`)));

  const ranges = new Float64Array(2 * MOST_RANGES);
  let used = 0;
  let bytes = 0;

  function flush(): void {
    if (used > 0) worker.postMessage(ranges.slice(0, used) satisfies TlshRequest);
    used = bytes = 0;
  }

  function add(offset: number, size: number): void {
    if (size === 0) return;
    const last = used > 0 ? ranges[used - 2]! : HOLE;
    const isNext = last !== HOLE && offset - last === ranges[used - 1];
    if (isNext) ranges[used - 1]! += size;
    else {
      ranges[used++] = offset;
      ranges[used++] = size;
    }
    bytes += size;
    if (used === ranges.length || bytes >= MOST_BYTES) flush();
  }

  return {
    add,
    addContent({ size, sparse, bodySize }, offset) {
      if (!sparse) return add(offset, bodySize);
      let at = 0;
      for (const run of sparse) {
        add(HOLE, run.offset - at);
        add(offset, run.size);
        offset += run.size;
        at = run.offset + run.size;
      }
      add(HOLE, size - at);
    },
    digest() {
      const answer = Promise.withResolvers<string | null>();
      // told to whoever waits for it
      answer.promise.catch(() => {});
      if (failure) answer.reject(failure);
      else {
        flush();
        waiting.push(answer);
        worker.postMessage('digest' satisfies TlshRequest);
      }
      return answer.promise;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}
