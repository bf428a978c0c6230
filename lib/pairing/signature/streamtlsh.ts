import { type TlshAnswer, type TlshRequest, HOLE, END } from './tlshmessages.ts';
import { Worker } from 'node:worker_threads';
import { PanamaxError } from '../../errors.ts';
import type { TarEntry } from '../../image/tar/entry.ts';
import { MAX_HOLE } from '../../image/tar/expand.ts';
import { threadEntry } from '../../runtime/thread.ts';

const tlshThread = threadEntry<typeof import('./tlshthread.ts')>(new URL('./tlshthread.ts', import.meta.url));

/** The position of a file's content in a layer stream. */
export interface StoredFile {
  readonly entry: Pick<TarEntry, 'size' | 'sparse' | 'bodySize'>;
  /** Offset of its stored bytes. */
  readonly offset: number;
}

/** Computes TLSHs over the files of a layer stream in a separate thread, while the stream is still being written. */
export interface StreamTlsh {
  /** Appends a range of the current file. The bytes must have been written already. */
  add(offset: number, size: number): void;
  /** Appends the whole content of a file, with holes as zeros, at most `MAX_HOLE` of each. */
  addFile(file: StoredFile): void;
  endFile(): void;
  /** The TLSH of the files since the last layer. */
  endLayer(): Promise<string | null>;
  /**
   * The TLSH of files of all layers in another order. Call it once, after the last layer.
   *
   * @param leftOut the other files: each file that was added must be in exactly one of the two lists, once
   */
  reordered(files: Iterable<StoredFile>, leftOut: Iterable<StoredFile>): Promise<string | null>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Bounds on one message to the thread: its ranges, and the bytes in them. */
const MAX_RANGES = 4096;
const MAX_BYTES = 1024 ** 2;

/** A thread without a file, for the next image: small images take less time than starting one. It ends with this thread. */
let spare: Worker | undefined;

function takeThread(): Worker {
  const thread = spare ?? new Worker(tlshThread.module);
  spare = undefined;
  thread.ref();
  return thread;
}

/** @param path an existing file, which may be removed after the disposal of the result */
export function createStreamTlsh(path: string): StreamTlsh {
  const worker = takeThread();
  worker.postMessage({ path } satisfies TlshRequest);
  const waiting: PromiseWithResolvers<string | null>[] = [];
  let failure: unknown;
  let isDone = false;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  const onMessage = (answer: TlshAnswer) => {
    if ('digest' in answer) waiting.shift()?.resolve(answer.digest);
    else fail(new PanamaxError('io', `cannot hash the layer stream: ${answer.failure}`, { where: path }));
  };
  const onExit = (code: number) =>
    fail(new PanamaxError('internal', `the TLSH thread exited with code ${code}`));
  worker.on('message', onMessage).on('error', fail).on('exit', onExit);

  const ranges = new Float64Array(2 * MAX_RANGES);
  let used = 0;
  let bytes = 0;

  function flush(): void {
    if (used > 0) worker.postMessage(ranges.slice(0, used) satisfies TlshRequest);
    used = bytes = 0;
  }

  function push(offset: number, size: number): void {
    if (size === 0 && offset !== END) return;
    ranges[used++] = offset;
    ranges[used++] = size;
    bytes += size;
    if (used === ranges.length || bytes >= MAX_BYTES) flush();
  }

  function add(offset: number, size: number): void {
    const last = used > 0 ? ranges[used - 2]! : HOLE;
    if (last < 0 || offset - last !== ranges[used - 1]) push(offset, size);
    else {
      ranges[used - 1]! += size;
      bytes += size;
      if (bytes >= MAX_BYTES) flush();
    }
  }

  function addFile({ entry: { size, sparse, bodySize }, offset }: StoredFile): void {
    let at = 0;
    let stored = offset;
    for (const run of sparse ?? [{ offset: 0, size: bodySize }]) {
      push(HOLE, Math.min(run.offset - at, MAX_HOLE));
      push(stored, run.size);
      stored += run.size;
      at = run.offset + run.size;
    }
    push(HOLE, Math.min(size - at, MAX_HOLE));
    push(END, 0);
  }

  function ask(request: 'layer' | 'rest'): Promise<string | null> {
    const answer = Promise.withResolvers<string | null>();
    // a caller may await this promise later: until then a rejection must not count as unhandled
    answer.promise.catch(() => {});
    if (failure) answer.reject(failure);
    else {
      flush();
      waiting.push(answer);
      worker.postMessage(request satisfies TlshRequest);
    }
    return answer.promise;
  }

  return {
    add,
    addFile,
    endFile: () => push(END, 0),
    endLayer: () => ask('layer'),
    reordered(files, leftOut) {
      for (const file of leftOut) addFile(file);
      flush();
      worker.postMessage('left-out' satisfies TlshRequest);
      for (const file of files) addFile(file);
      const answer = ask('rest');
      void answer.then(
        () => (isDone = true),
        () => {},
      );
      return answer;
    },
    async [Symbol.asyncDispose]() {
      worker.off('message', onMessage).off('error', fail).off('exit', onExit);
      if (isDone && !spare) {
        worker.postMessage('close' satisfies TlshRequest);
        worker.unref();
        spare = worker;
      } else await worker.terminate();
    },
  };
}
