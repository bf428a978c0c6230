import { setTimeout as delay } from 'node:timers/promises';
import type { JobHandler } from '../lib/queue/worker.ts';
import type { QueueCounts } from '../lib/queue/queues.ts';

/** Ends of a worker that no signal asks for. */

/** Between two looks at the queues, in milliseconds. */
const INTERVAL = 1000;
/** Time after which a job that is too many is offered again, in milliseconds. */
const HANDED_BACK = 1000;

/**
 * Waits until no job is queued, delayed or under way, in any worker.
 *
 * @param counts rejects while Redis does not answer
 * @returns without an error once the signal is aborted
 */
export async function waitUntilDrained(
  counts: () => Promise<Readonly<Record<string, QueueCounts>>>,
  signal: AbortSignal,
): Promise<void> {
  // looks twice: between two stages a run has no job for a moment
  for (let looks = 0; looks < 2 && !signal.aborted;) {
    await delay(INTERVAL, undefined, { signal }).catch(() => {});
    const left = await counts().then(
      (queues) => Object.values(queues).reduce((n, one) => n + one.waiting + one.active + one.delayed, 0),
      () => Infinity,
    );
    looks = left === 0 ? looks + 1 : 0;
  }
}

/** A number of jobs after which a worker ends. */
export interface JobLimit {
  /** Hands jobs beyond the number back to their queue. */
  limited(handler: JobHandler): JobHandler;
  /** Resolves when the last of the jobs has ended. */
  readonly reached: Promise<void>;
}

export function createJobLimit(most: number): JobLimit {
  const { promise, resolve } = Promise.withResolvers<void>();
  let taken = 0;
  let ended = 0;
  return {
    limited: (handler) => async (job) => {
      if (taken === most) return { kind: 'retryLater', delay: HANDED_BACK };
      taken++;
      let isGivenBack = false;
      try {
        const result = await handler(job);
        isGivenBack = result.kind === 'giveBack';
        return result;
      } finally {
        if (isGivenBack) taken--;
        else if (++ended === most) resolve();
      }
    },
    reached: promise,
  };
}
