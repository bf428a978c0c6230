import { Worker } from 'node:worker_threads';
import { threadModule } from '../../thread.ts';
import { createCompressor, type Thoroughness } from './compressor.ts';
import type { CompressorTask } from './compressorthread.ts';
import { type Sections, sizeOf } from './sections.ts';

/** Each takes up to 70 MiB. */
const THREADS = 2;
/** Groups under way: what one thread does next waits for it. */
const CONCURRENCY = THREADS + 1;

/** What a group of windows is larger than one before, in bytes, for which the same memory does. */
const SPARE = 2 ** 20;

export interface CompressorPool {
  /** How many groups of windows can be under way at once. */
  readonly concurrency: number;
  /** Compresses the sections of windows that follow those before, and takes them; to be called in their order. */
  compress(windows: readonly Sections[]): Promise<Sections[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** For a patch with so little to compress that threads would take longer to start. */
export function singleCompressor(thoroughness: Thoroughness): CompressorPool {
  const compressor = createCompressor(thoroughness);
  return {
    concurrency: 1,
    compress: (windows) => Promise.resolve(compressor.compress(windows)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * Compresses groups of windows in threads, each in the one with least to do. All threads are shown all windows, for
 * each may copy from what was before; what comes out is what one compressor would make.
 */
export function createCompressorPool(thoroughness: Thoroughness): CompressorPool {
  const module = threadModule('compressorthread', import.meta.url);
  const threads = Array.from({ length: THREADS }, () =>
    openThread(new Worker(module, { workerData: thoroughness })),
  );
  const pending = threads.map(() => 0);
  // written over once all threads have done with it: as garbage it would stay for long
  const memories: Promise<SharedArrayBuffer | undefined>[] = Array.from({ length: CONCURRENCY }, () =>
    Promise.resolve(undefined),
  );

  async function start(windows: readonly Sections[], size: number, owner: number) {
    const used = await memories.shift()!;
    const memory = used && used.byteLength >= size ? used : new SharedArrayBuffer(size + SPARE);
    const shown = moved(windows, memory);
    return { memory, tasks: threads.map((thread, i) => thread.take({ windows: shown, mine: i === owner })) };
  }

  return {
    concurrency: CONCURRENCY,
    async compress(windows) {
      const size = windows.reduce((sum, sections) => sum + sizeOf(sections), 0);
      const owner = pending.indexOf(Math.min(...pending));
      pending[owner]! += size;
      const started = start(windows, size, owner);
      const free = started.then(async ({ memory, tasks }) => {
        await Promise.all(tasks);
        return memory;
      });
      // who awaits it comes later
      free.catch(() => undefined);
      memories.push(free);
      try {
        const { tasks } = await started;
        return await tasks[owner]!;
      } finally {
        pending[owner]! -= size;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}

/** Moves windows to shared memory, one behind the other. */
function moved(windows: readonly Sections[], memory: SharedArrayBuffer): Sections[] {
  let at = 0;
  const move = (bytes: Uint8Array): Uint8Array => {
    const place = new Uint8Array(memory, at, bytes.length);
    place.set(bytes);
    at += bytes.length;
    // the collector does not see how much there is
    (bytes.buffer as ArrayBuffer).transfer(0);
    return place;
  };
  return windows.map(({ data, instructions, addresses }) => ({
    data: move(data),
    instructions: move(instructions),
    addresses: move(addresses),
  }));
}

interface Waiting {
  readonly resolve: (sections: Sections[]) => void;
  readonly reject: (error: Error) => void;
}

function openThread(worker: Worker) {
  const waiting: Waiting[] = [];
  let failure: Error | undefined;
  worker.on('message', (sections: Sections[]) => waiting.shift()?.resolve(sections));
  worker.on('error', (error: Error) => {
    failure = error;
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  return {
    worker,
    /** What is compressed; nothing where the windows are only shown. */
    take(task: CompressorTask): Promise<Sections[]> {
      if (failure) return Promise.reject(failure);
      worker.postMessage(task);
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      });
    },
  };
}
