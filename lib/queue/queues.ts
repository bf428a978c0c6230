import { Queue, type Job } from 'bullmq';
import { RUN_QUEUE, QUEUES, type QueueName } from './names.ts';
import { redisError, type Connection } from './connection.ts';
import { tracedOptions } from './tracing.ts';

/** Jobs in one pipeline: few enough not to block other clients of Redis. */
const CHUNK = 500;

export interface QueuedJob {
  /** Made by `jobId`. */
  readonly id: string;
  readonly data: object;
  /** From 1; smaller numbers run first, jobs without a number before all others. */
  readonly priority?: number;
}

export type JobState = 'unknown' | 'queued' | 'failed' | 'completed';

export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** Numbers of a priority of runs in the queue: from `first` to before `end`. */
export interface Band {
  readonly first: number;
  readonly end: number;
}

/** Factor of a job's priority in its score in BullMQ's sorted set. */
const PRIORITY_SCORE = 2 ** 32;

/** The queues, as producers and coordinators use them. Every method throws PanamaxError `io`. */
export interface Queues {
  /** Adds jobs. IDs that exist are ignored. */
  add(queue: QueueName, jobs: readonly QueuedJob[]): Promise<void>;
  /** States of jobs, in the order of `ids`. */
  states(queue: QueueName, ids: readonly string[]): Promise<JobState[]>;
  /** Reason of a job that failed for good. */
  failureOf(queue: QueueName, id: string): Promise<string | undefined>;
  remove(queue: QueueName, ids: readonly string[]): Promise<void>;
  /** IDs of jobs of a band that wait, the first ones. */
  waiting(queue: QueueName, band: Band, most: number): Promise<string[]>;
  /** Moves a job that waits. */
  changePriority(queue: QueueName, id: string, priority: number): Promise<void>;
  counts(): Promise<Record<QueueName, QueueCounts>>;
  /** Number of workers that are connected to each queue, as far as the server tells. */
  workers(): Promise<Record<QueueName, number>>;
  /** Queues that no worker is connected to, as far as the server tells. */
  unattended(): Promise<QueueName[]>;
  close(): Promise<void>;
}

export interface JobSettings {
  /** Attempts at a job whose error is retried. */
  readonly attempts: number;
  /** Delay before the second attempt in milliseconds; doubles with each attempt. */
  readonly backoff: number;
}

/** Eight attempts with doubling delays outlast an outage of four minutes. */
export const JOB_SETTINGS: JobSettings = { attempts: 8, backoff: 2000 };

export function openQueues(
  { redis, where, prefix }: Connection,
  settings: JobSettings = JOB_SETTINGS,
): Queues {
  const { attempts, backoff } = settings;
  const queues = Object.fromEntries(
    QUEUES.map((name) => {
      const queue = new Queue(name, {
        connection: redis,
        prefix,
        ...tracedOptions(),
        defaultJobOptions: {
          attempts: name === RUN_QUEUE ? Number.MAX_SAFE_INTEGER : attempts,
          backoff: { type: 'exponential', delay: backoff, jitter: 0.5 },
          // outcomes are in the store; finished jobs are kept for display only
          removeOnComplete: { count: 1000 },
          removeOnFail: { count: 10_000 },
          // stacks of PanamaxErrors say nothing that their messages don't
          stackTraceLimit: 1,
        },
      });
      queue.on('error', () => {});
      return [name, queue];
    }),
  ) as Record<QueueName, Queue>;

  async function inRedis<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw redisError(error, where);
    }
  }

  const workers = () =>
    inRedis(async () => {
      const counted = QUEUES.map(async (name) => [name, await queues[name].getWorkersCount()] as const);
      return Object.fromEntries(await Promise.all(counted)) as Record<QueueName, number>;
    });

  return {
    add: (name, jobs) =>
      inRedis(async () => {
        for (let at = 0; at < jobs.length; at += CHUNK) {
          await queues[name].addBulk(
            jobs.slice(at, at + CHUNK).map(({ id, data, priority }) => ({
              name,
              data,
              opts: { jobId: id, ...(priority === undefined ? {} : { priority }) },
            })),
          );
        }
      }),
    states: (name, ids) =>
      inRedis(async () => {
        const states: JobState[] = [];
        for (let at = 0; at < ids.length; at += CHUNK) {
          const chunk = ids.slice(at, at + CHUNK).map((id) => queues[name].getJobState(id));
          states.push(...(await Promise.all(chunk)).map(simplified));
        }
        return states;
      }),
    failureOf: (name, id) =>
      inRedis(
        async () => ((await queues[name].getJob(id)) as { failedReason?: string } | undefined)?.failedReason,
      ),
    remove: (name, ids) =>
      inRedis(async () => {
        for (let at = 0; at < ids.length; at += CHUNK) {
          await Promise.all(ids.slice(at, at + CHUNK).map((id) => queues[name].remove(id)));
        }
      }),
    waiting: (name, { first, end }, most) =>
      inRedis(() =>
        redis.zrangebyscore(
          queues[name].toKey('prioritized'),
          first * PRIORITY_SCORE,
          `(${end * PRIORITY_SCORE}`,
          'LIMIT',
          0,
          most,
        ),
      ),
    changePriority: (name, id, priority) =>
      inRedis(async () => {
        const job = (await queues[name].getJob(id)) as Job | undefined;
        await job?.changePriority({ priority });
      }),
    counts: () =>
      inRedis(async () => {
        const counted = QUEUES.map(async (name) => {
          const counts = await queues[name].getJobCounts(
            'wait',
            'prioritized',
            'active',
            'delayed',
            'failed',
          );
          const { wait = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
          return [name, { waiting: wait + prioritized, active, delayed, failed }] as const;
        });
        return Object.fromEntries(await Promise.all(counted)) as Record<QueueName, QueueCounts>;
      }),
    workers,
    async unattended() {
      const counts = await workers();
      return QUEUES.filter((name) => counts[name] === 0);
    },
    async close() {
      await Promise.allSettled(Object.values(queues).map((queue) => queue.close()));
    },
  };
}

function simplified(state: string): JobState {
  return state === 'unknown' || state === 'failed' || state === 'completed' ? state : 'queued';
}
