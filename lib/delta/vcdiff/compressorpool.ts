import { Worker } from 'node:worker_threads';
import { threadModule } from '../../thread.ts';
import { createCompressor, type Thoroughness } from './compressor.ts';
import type { CompressorTask } from './compressorthread.ts';
import { type Sections, sizeOf } from './sections.ts';

/** Each takes up to 70 MiB. */
const THREADS = 2;
/** Groups under way: what one thread does next waits for it. */
const CONCURRENCY = THREADS + 1;

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
  return {
    concurrency: CONCURRENCY,
    async compress(windows) {
      const size = windows.reduce((sum, sections) => sum + sizeOf(sections), 0);
      const owner = pending.indexOf(Math.min(...pending));
      pending[owner]! += size;
      for (const [i, thread] of threads.entries()) if (i !== owner) thread.show(windows);
      try {
        return await threads[owner]!.compress(windows);
      } finally {
        pending[owner]! -= size;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
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
    show(windows: readonly Sections[]): void {
      worker.postMessage({ windows, mine: false } satisfies CompressorTask);
    },
    /** The windows' memory goes to the thread. */
    compress(windows: readonly Sections[]): Promise<Sections[]> {
      if (failure) return Promise.reject(failure);
      worker.postMessage({ windows, mine: true } satisfies CompressorTask, windows.flatMap(memoryOf));
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      });
    },
  };
}

function memoryOf({ data, instructions, addresses }: Sections): ArrayBuffer[] {
  return [data.buffer, instructions.buffer, addresses.buffer];
}
