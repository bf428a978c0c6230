/** Runs a target in a thread and ends it when an input takes too much time or memory. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createBoard, openBoard } from './board.ts';
import type { FuzzResult, FuzzTask } from './thread.ts';

/** For one input, in milliseconds; the machine may be busy. */
const MAX_TIME = 20_000;
/** Of the process, in bytes. */
const MAX_MEMORY = 3 * 1024 ** 3;
/** Of the thread's heap, in MiB. */
const MAX_HEAP = 1024;
const INTERVAL = 500;

export async function superviseFuzzing(task: Omit<FuzzTask, 'board'>): Promise<FuzzResult> {
  const shared = createBoard();
  const board = openBoard(shared);
  const worker = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: { ...task, board: shared } satisfies FuzzTask,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP },
  });
  const stop = new AbortController();
  const broken = (reason: string): FuzzResult => ({
    executions: board.count,
    refused: 0,
    corpus: 0,
    functions: 0,
    find: { input: board.input ?? Buffer.alloc(0), reason },
  });

  /** Resolves when an input is over a bound. */
  async function watch(): Promise<FuzzResult> {
    let since = Date.now();
    for (let before = board.count; ;) {
      await delay(INTERVAL, undefined, { signal: stop.signal });
      const { rss } = process.memoryUsage();
      if (rss > MAX_MEMORY) return broken(`takes ${rss} bytes of memory`);
      if (board.count !== before || !board.input) since = Date.now();
      before = board.count;
      if (Date.now() - since > MAX_TIME) return broken(`takes more than ${MAX_TIME} ms`);
    }
  }

  try {
    const end = new Promise<FuzzResult>((resolve) => {
      worker.once('message', (message: FuzzResult) => resolve(message));
      worker.once('error', (error) => resolve(broken(`ends the thread: ${error.stack}`)));
      worker.once('exit', (code) => resolve(broken(`ends the thread with ${code}`)));
    });
    return await Promise.race([end, watch()]);
  } finally {
    stop.abort();
    await worker.terminate();
  }
}
