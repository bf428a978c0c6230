import { openThread, threadModule, type Thread } from '../../runtime/thread.ts';
import { listLayers } from './listing.ts';
import { samplePart } from './samples.ts';
import { alignPairs } from './windows.ts';

/** Work on one thing in the thread of the matching and in others at once. */

const WORK = { list: listLayers, sample: samplePart, align: alignPairs };

type Kind = keyof typeof WORK;
type Task<K extends Kind> = Parameters<(typeof WORK)[K]>[0];
type Result<K extends Kind> = Awaited<ReturnType<(typeof WORK)[K]>>;

export interface Assignment<K extends Kind = Kind> {
  readonly kind: K;
  readonly task: Task<K>;
}

export function perform<K extends Kind>({ kind, task }: Assignment<K>): Result<K> | Promise<Result<K>> {
  return (WORK[kind] as (task: Task<K>) => Result<K> | Promise<Result<K>>)(task);
}

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
  const module = threadModule('./helperthread', import.meta.url);
  const others: Thread<Assignment, unknown>[] = [];
  return {
    async share<K extends Kind>(kind: K, [mine, ...rest]: readonly Task<K>[]) {
      const elsewhere = Promise.all(
        rest.map((task, i) => {
          const thread = (others[i] ??= openThread(module, signal)) as Thread<Assignment<K>, Result<K>>;
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
