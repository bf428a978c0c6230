import { DelayedError, UnrecoverableError, WaitingError, Worker, type Job } from 'bullmq';
import type { Connection } from './connection.ts';
import type { Semaphore } from '../runtime/semaphore.ts';
import { RUN_QUEUE, type QueueName } from './names.ts';
import { tracedOptions } from './tracing.ts';

/** Result of one attempt at a job. */
export type JobResult =
  | { readonly kind: 'done' }
  /** The job cannot run now; this does not count as an attempt. `delay` is in milliseconds. */
  | { readonly kind: 'retryLater'; readonly delay: number }
  /** The job goes back to its place in the queue; this does not count as an attempt. */
  | { readonly kind: 'giveBack' }
  /** Retried with backoff, unless this was the last attempt or the failure is final. */
  | { readonly kind: 'failed'; readonly message: string; readonly final: boolean };

export interface JobAttempt {
  readonly id: string;
  readonly data: unknown;
  /** From 1. */
  readonly attempt: number;
  readonly isLast: boolean;
  /** Its number in the queue. */
  readonly priority: number;
  /** Number of times that a worker has taken the job, this time included. */
  readonly starts: number;
  /** Aborted when another worker has taken the job, or when it must be handed back at once. */
  readonly signal: AbortSignal;
}

export type JobHandler = (job: JobAttempt) => Promise<JobResult>;

/** Times in milliseconds. */
export interface LockSettings {
  /** Time without a renewal after which a worker loses its jobs. */
  readonly lockDuration: number;
  readonly stalledInterval: number;
  /** Number of worker crashes after which a job fails: it is then taken to be their cause. */
  readonly maxStalled: number;
}

export const LOCK_SETTINGS: LockSettings = {
  lockDuration: 60_000,
  stalledInterval: 30_000,
  maxStalled: 3,
};

/** Time that a job waits for a slot before it goes back into its queue, in milliseconds. */
const SLOT_PATIENCE = 3000;
/** Time for handlers to end after an abort, and for the last commands to Redis, in milliseconds. */
const LAST_WORDS = 10_000;

export interface QueueWorker {
  /**
   * Takes no more jobs. Jobs under way may end within `grace` milliseconds, then they are aborted and handed back.
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
    /** Job slots shared with other queues. */
    readonly slots?: Semaphore;
    readonly onError: (error: Error) => void;
  },
): QueueWorker {
  const hurry = new AbortController();
  const active = new Set<Promise<unknown>>();
  const stopping = new AbortController();
  const { slots } = options;

  async function attempt(job: Job, token: string | undefined, lost: AbortSignal): Promise<void> {
    // A job without a slot goes back, so that another worker can take it.
    using slot = slots && (await takeSlot(slots, stopping.signal));
    if ((slots && !slot) || stopping.signal.aborted) return await handBack(job, token);
    await attemptNow(job, token, lost);
  }

  async function attemptNow(job: Job, token: string | undefined, lost: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([lost, hurry.signal]);
    const number = job.attemptsMade + 1;
    const isLast = number >= (job.opts.attempts ?? 1);
    const { priority, attemptsStarted: starts } = job;
    const taken = {
      id: job.id!,
      data: job.data as unknown,
      attempt: number,
      isLast,
      priority,
      starts,
      signal,
    };
    const result = await handler(taken);
    switch (result.kind) {
      case 'done':
        return undefined;
      case 'giveBack':
        return handBack(job, token);
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
    // BullMQ passes a signal only to functions of three parameters
    (job, token, signal) => {
      const running = attempt(job, token, signal!);
      const settled = running.catch(() => {}).finally(() => active.delete(settled));
      active.add(settled);
      return running;
    },
    {
      connection: redis,
      prefix,
      ...tracedOptions(),
      concurrency: options.concurrency,
      lockDuration: options.locks.lockDuration,
      stalledInterval: options.locks.stalledInterval,
      // The job of a run lasts as long as the run, and may outlive many workers.
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
      // A job that does not end keeps its lock until it is found stalled.
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

/** Waits for a promise to settle, at most `time` milliseconds. */
async function within(promise: Promise<unknown>, time: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, time)));
  await Promise.race([Promise.allSettled([promise]), late]);
  clearTimeout(timer);
}
