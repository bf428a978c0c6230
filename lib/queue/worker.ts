import { DelayedError, UnrecoverableError, WaitingError, Worker, type Job } from 'bullmq';
import type { Connection } from './connection.ts';
import type { Semaphore } from '../runtime/semaphore.ts';
import { RUN_QUEUE, type QueueName } from './names.ts';

/** What came of one attempt at a job. */
export type JobResult =
  | { readonly kind: 'done' }
  /** Not now, and through no fault of the job: it counts as no attempt. In milliseconds. */
  | { readonly kind: 'retryLater'; readonly delay: number }
  /** To be tried again with backoff, unless this was the last attempt or nothing will help. */
  | { readonly kind: 'failed'; readonly message: string; readonly final: boolean };

export interface JobAttempt {
  readonly id: string;
  readonly data: unknown;
  /** From 1. */
  readonly attempt: number;
  readonly isLast: boolean;
  /** Aborted when the job has been lost to another worker, or has to be handed back at once. */
  readonly signal: AbortSignal;
}

export type JobHandler = (job: JobAttempt) => Promise<JobResult>;

/** Times in milliseconds. */
export interface LockSettings {
  /** A worker that has not been heard of for so long has lost its jobs. */
  readonly lockDuration: number;
  readonly stalledInterval: number;
  /** How often a job may lose its worker to a crash before it counts as what kills them. */
  readonly maxStalled: number;
}

export const LOCK_SETTINGS: LockSettings = {
  lockDuration: 60_000,
  stalledInterval: 30_000,
  maxStalled: 3,
};

/** How long a job is kept that waits for a slot, in milliseconds. */
const SLOT_PATIENCE = 3000;
/** For handlers to end after an abort, and for Redis to take the last words. */
const LAST_WORDS = 10_000;

export interface QueueWorker {
  /**
   * Takes no more jobs, lets those under way end within `grace` milliseconds, then aborts them and hands them back.
   */
  stop(grace: number): Promise<void>;
}

/** Runs a handler for the jobs of one queue, `concurrency` at a time. */
export function startQueueWorker(
  name: QueueName,
  { redis, prefix }: Connection,
  handler: JobHandler,
  options: {
    readonly concurrency: number;
    readonly locks: LockSettings;
    /** Shared with other queues; a job that gets none in some seconds goes back into its queue. */
    readonly slots?: Semaphore;
    readonly onError: (error: Error) => void;
  },
): QueueWorker {
  const hurry = new AbortController();
  const active = new Set<Promise<unknown>>();
  const stopping = new AbortController();
  const { slots } = options;

  async function attempt(job: Job, token: string | undefined, lost: AbortSignal): Promise<void> {
    // what waits for a slot of this process may be another's sooner
    using slot = slots && (await takeSlot(slots, stopping.signal));
    if ((slots && !slot) || stopping.signal.aborted) return await handBack(job, token);
    await attemptNow(job, token, lost);
  }

  async function attemptNow(job: Job, token: string | undefined, lost: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([lost, hurry.signal]);
    const number = job.attemptsMade + 1;
    const isLast = number >= (job.opts.attempts ?? 1);
    const result = await handler({ id: job.id!, data: job.data, attempt: number, isLast, signal });
    switch (result.kind) {
      case 'done':
        return undefined;
      case 'retryLater':
        if (hurry.signal.aborted) return handBack(job, token);
        await job.moveToDelayed(Date.now() + result.delay, token);
        throw new DelayedError();
      case 'failed':
        if (hurry.signal.aborted && !result.final) return handBack(job, token);
        throw result.final ? new UnrecoverableError(result.message) : new Error(result.message);
    }
  }

  const worker = new Worker(
    name,
    // BullMQ makes a signal for functions of three parameters
    (job, token, signal) => {
      const running = attempt(job, token, signal!);
      const settled = running.catch(() => {}).finally(() => active.delete(settled));
      active.add(settled);
      return running;
    },
    {
      connection: redis,
      prefix,
      concurrency: options.concurrency,
      lockDuration: options.locks.lockDuration,
      stalledInterval: options.locks.stalledInterval,
      // a run's own job goes on as long as the run; waiting for others would count as starts (maxStartedAttempts)
      maxStalledCount: name === RUN_QUEUE ? Number.MAX_SAFE_INTEGER : options.locks.maxStalled,
      runRetryDelay: 2000,
    },
  );
  worker.on('error', options.onError);
  worker.on('lockRenewalFailed', (ids: string[]) => {
    for (const id of ids) worker.cancelJob(id, 'the job has been given to another worker');
  });

  return {
    async stop(grace) {
      stopping.abort();
      await worker.pause(true);
      const idle = async () => {
        while (active.size > 0) await Promise.all(active);
      };
      await within(idle(), grace);
      hurry.abort(new Error('the worker is shutting down'));
      await within(idle(), LAST_WORDS);
      // a job that does not end keeps its lock until it is found stalled
      await within(worker.close(active.size > 0), LAST_WORDS);
    },
  };
}

/** Undefined if no slot becomes free in time, or the worker stops. */
async function takeSlot(slots: Semaphore, stop: AbortSignal): Promise<Disposable | undefined> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(SLOT_PATIENCE)]);
  return slots.reserve(1, signal).catch(() => undefined);
}

async function handBack(job: Job, token: string | undefined): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}

/** Waits for a promise, but no longer than so many milliseconds. */
async function within(promise: Promise<unknown>, time: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, time)));
  await Promise.race([Promise.allSettled([promise]), late]);
  clearTimeout(timer);
}
