import { jobId, RUN_QUEUE } from '../lib/queue/names.ts';
import type { Band, Queues } from '../lib/queue/queues.ts';
import { EXIT_CODES, type ErrorKind } from '../lib/errors.ts';
import { findOutcome, putOutcome } from '../lib/run/outcome.ts';
import type { Failed } from '../lib/run/report.ts';
import { PRIORITIES, type Priority } from '../lib/run/request.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { subjectOf, type ItemJob } from './flow.ts';

/** Number of jobs by state; each job is counted once. */
export interface Scheduled {
  readonly added: number;
  /** Were in the queue before. */
  readonly queued: number;
  /** Failed before, or given up by the queue. The latter are counted in `added` as well if they are retried. */
  readonly failed: number;
  /** Have ended meanwhile. */
  readonly done: number;
}

export interface ScheduleOptions {
  readonly store: Store;
  readonly queues: Queues;
  /** Of the run. */
  readonly priority?: Priority | undefined;
  /** Retries jobs that the queue gave up. */
  readonly retryFailed?: boolean;
  /** Only counts. */
  readonly dryRun?: boolean;
}

/**
 * Adds the jobs of a stage that are neither queued nor over. A job that the queue gave up without an outcome (its workers
 * were killed, or the store could not be written) gets its outcome here.
 */
export async function ensureQueued(
  stage: Stage,
  jobs: readonly ItemJob[],
  { store, queues, priority, retryFailed = false, dryRun = false }: ScheduleOptions,
): Promise<Scheduled> {
  const states = await queues.states(stage, jobs.map(idOf));
  const missing: ItemJob[] = [];
  /** Finished for the queue but without an outcome in the store; they block their IDs. */
  const lost: ItemJob[] = [];
  const givenUp: ItemJob[] = [];
  const counts = { queued: 0, failed: 0, done: 0 };
  for (const [i, job] of jobs.entries()) {
    const state = states[i]!;
    if (state === 'unknown') missing.push(job);
    else if (state === 'queued') counts.queued++;
    else {
      const outcome = await findOutcome(store, job.run, stage, job.item);
      if (outcome) counts[outcome === 'failed' ? 'failed' : 'done']++;
      else (state === 'failed' ? givenUp : lost).push(job);
    }
  }
  const again = retryFailed ? [...lost, ...givenUp] : lost;
  const added = [...missing, ...again];
  const scheduled = { ...counts, added: added.length, failed: counts.failed + givenUp.length };
  if (dryRun) return scheduled;
  for (const job of retryFailed ? [] : givenUp) {
    const error = readFailure((await queues.failureOf(stage, idOf(job))) ?? '');
    const outcome = { status: 'failed', error, ...subjectOf(job) } as const;
    await putOutcome(store, job.run, stage, job.item, outcome);
  }
  await queues.remove(stage, again.map(idOf));
  await addJobs(stage, added, queues, priority);
  return scheduled;
}

/** @param priority of the run */
export async function addJobs(
  stage: Stage,
  jobs: readonly ItemJob[],
  queues: Queues,
  priority: Priority = 'normal',
): Promise<void> {
  const first = 1 + BAND * PRIORITIES.indexOf(priority);
  await queues.add(
    stage,
    jobs.map((job) => ({
      id: idOf(job),
      data: job,
      priority: stage === 'delta' ? numberOfPair(job.item, first) : first,
    })),
  );
}

/** Numbers of the queue for each priority of runs. BullMQ takes 21 bits. */
const BAND = 2 ** 19;

/** The band of a job's number. */
export function bandOf(priority: number): Band {
  const first = 1 + BAND * Math.floor((priority - 1) / BAND);
  return { first, end: first + BAND };
}

/**
 * The number of a pair, derived from its source: pairs of one source run close together, so that a worker finds it
 * unpacked. The order is the same in all runs, and evenly distributed, so that no run waits for all of another. The first
 * number of the band is left for pairs that a worker asks for (affinity.ts).
 */
export function numberOfPair(item: string, first: number): number {
  // the first 19 bits of the item
  return first + Math.max(1, Number.parseInt(item.slice(0, 5), 16) >>> 1);
}

/** Queues a coordinator for a run. A second coordinator waits for the first, then finds the run over. */
export async function addCoordinator(run: string, name: string, queues: Queues): Promise<void> {
  await queues.add(RUN_QUEUE, [{ id: jobId(run, name), data: { run, name } }]);
}

/** Formats a failure for the queue: its kind, then its message. */
export function writeFailure({ kind, message }: Failed['error']): string {
  return `${kind}: ${message}`;
}

function readFailure(text: string): Failed['error'] {
  const colon = text.indexOf(': ');
  const kind = text.slice(0, Math.max(colon, 0));
  if (Object.hasOwn(EXIT_CODES, kind)) return { kind: kind as ErrorKind, message: text.slice(colon + 2) };
  return { kind: 'internal', message: text || 'the queue gave no reason' };
}

function idOf({ run, item }: ItemJob): string {
  return jobId(run, item);
}
