import { openThread, threadEntry, type Thread } from '../../runtime/thread.ts';
import { perform, type Assignment, type Kind, type Result, type Task } from './assignment.ts';

/** Work on one thing in the thread of the matching and in others at once. */

const helperThread = threadEntry<typeof import('./helperthread.ts')>(
  new URL('./helperthread.ts', import.meta.url),
);

/** Threads that work, and from how many bytes on it takes more than one: each takes up to 120 MiB. */
const THREADS = 2;
const MIN_SHARED = 8 * 1024 ** 2;

/** In how many shares so many bytes are worth doing. */
export function sharesFor(size: number): number {
  return size < MIN_SHARED ? 1 : THREADS;
}

export interface Crew extends AsyncDisposable {
  /**
   * Does the first of up to THREADS tasks here, the others elsewhere.
   *
   * @returns what each has made, in their order
   */
  share<K extends Kind>(kind: K, tasks: readonly Task<K>[]): Promise<Result<K>[]>;
}

/** Other threads start when they are needed, and stay. */
export function createCrew(signal?: AbortSignal): Crew {
  const others: Thread<Assignment, unknown>[] = [];
  return {
    async share<K extends Kind>(kind: K, [mine, ...rest]: readonly Task<K>[]) {
      const elsewhere = Promise.all(
        rest.map((task, i) => {
          const thread = (others[i] ??= openThread(helperThread, signal)) as Thread<Assignment<K>, Result<K>>;
          return thread.call({ kind, task });
        }),
      );
      // who awaits it comes later
      elsewhere.catch(() => undefined);
      const here = await perform({ kind, task: mine! });
      return [here, ...(await elsewhere)];
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(others.map((thread) => thread[Symbol.asyncDispose]()));
    },
  };
}
