import { setTimeout as delay } from 'node:timers/promises';

/** For one action that may be tried again. */
export interface Retry {
  /** Waits after a failure, longer each time; throws it where it is of no use to try again. */
  after(error: unknown): Promise<void>;
  /** Something was achieved: the next failure counts as the first. */
  progress(): void;
}

export interface RetryPolicy {
  readonly attempts: number;
  /** The first one; doubled each time. In milliseconds. */
  readonly delay: number;
  isTransient(error: unknown): boolean;
  readonly signal?: AbortSignal;
}

export function createRetry(policy: RetryPolicy): Retry {
  let failures = 0;
  return {
    async after(error) {
      if (++failures >= policy.attempts || policy.signal?.aborted || !policy.isTransient(error)) throw error;
      // many that have failed at once shall not come back at once
      const wait = policy.delay * 2 ** (failures - 1) * (0.5 + Math.random());
      await delay(wait, undefined, policy.signal && { signal: policy.signal });
    },
    progress() {
      failures = 0;
    },
  };
}

export async function retrying<T>(policy: RetryPolicy, action: () => Promise<T>): Promise<T> {
  for (const retry = createRetry(policy); ;) {
    try {
      return await action();
    } catch (error) {
      await retry.after(error);
    }
  }
}
