import { openThread, threadEntry, type Thread } from '../../runtime/thread.ts';
import { runAssignment, type Assignment, type Kind, type Result, type Task } from './assignment.ts';

/** Runs parts of one alignment in this thread and in others at the same time. */

const workerThread = threadEntry<typeof import('./workerthread.ts')>(
  new URL('./workerthread.ts', import.meta.url),
);

/** Threads in all, this one included. Each takes up to 120 MiB. */
const THREADS = 2;
/** Bytes from which on more than one thread pays. */
const MIN_SHARED = 8 * 1024 ** 2;

/** Number of shares to split `size` bytes into. */
export function sharesFor(size: number): number {
  return size < MIN_SHARED ? 1 : THREADS;
}

export interface WorkerThreads extends AsyncDisposable {
  /**
   * Runs the first of up to THREADS tasks in this thread and the others in further threads.
   *
   * @returns the results in the order of the tasks
   */
  run<K extends Kind>(kind: K, tasks: readonly Task<K>[]): Promise<Result<K>[]>;
  /** Ends further threads, and so frees their memory, until there is work for them again. */
  rest(): Promise<void>;
}

/** Further threads start with their first task, and stay until they are to rest or the result is disposed. */
export function createWorkerThreads(signal?: AbortSignal): WorkerThreads {
  const others: Thread<Assignment, unknown>[] = [];
  async function rest(): Promise<void> {
    await Promise.all(others.splice(0).map((thread) => thread[Symbol.asyncDispose]()));
  }
  return {
    async run<K extends Kind>(kind: K, [mine, ...rest]: readonly Task<K>[]) {
      const elsewhere = Promise.all(
        rest.map((task, i) => {
          const thread = (others[i] ??= openThread(workerThread, signal)) as Thread<Assignment<K>, Result<K>>;
          return thread.call({ kind, task });
        }),
      );
      // awaited below: until then a rejection must not count as unhandled
      elsewhere.catch(() => undefined);
      const here = await runAssignment({ kind, task: mine! });
      return [here, ...(await elsewhere)];
    },
    rest,
    [Symbol.asyncDispose]: rest,
  };
}
