import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PanamaxError } from '../lib/errors.ts';
import { connectProducer } from '../lib/queue/connection.ts';
import { jobId, RUN_QUEUE, type QueueName } from '../lib/queue/names.ts';
import { openQueues, type JobSettings } from '../lib/queue/queues.ts';
import { inSpan } from '../lib/queue/tracing.ts';
import { createPollInterval } from '../lib/run/pollinterval.ts';
import { earlierRun, isSameRequest, type RunRequest } from '../lib/run/request.ts';
import { findRequest, putRequest } from '../lib/run/record.ts';
import { forgetFailures, listOutcomes, putOutcomes } from '../lib/run/outcome.ts';
import { createStatusReader, type RunStatus, type StageStatus } from '../lib/run/status.ts';
import { findSummary } from '../lib/run/summary.ts';
import { STAGES, type Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { ItemJob, SignatureJob } from '../workers/jobs.ts';
import { createRunPlan } from '../workers/runplan.ts';
import { addCoordinator, ensureQueued, type ScheduleOptions } from '../workers/schedule.ts';
import { findKnown } from './question/known.ts';

export interface EnqueueOptions {
  readonly redis: string;
  /** Retries failed items. */
  readonly retryFailed: boolean;
  /** Only counts. */
  readonly dryRun: boolean;
  readonly jobs?: JobSettings;
}

/** Number of known items of a stage by state. */
export interface StageTally {
  readonly added: number;
  readonly queued: number;
  /** Failed before, in the store or in the queue; counted in `added` as well if they are retried. */
  readonly failed: number;
  /** Read by other runs; no job is added. */
  readonly skipped: number;
  /** Done in this run. */
  readonly done: number;
}

export interface Enqueued {
  readonly run: string;
  readonly stages: Readonly<Record<Stage, StageTally>>;
}

/**
 * Writes a run's request to the store and adds its first jobs to the queue. May be called again at any time: finished
 * and queued items of the run are kept, and jobs that Redis has lost are added again.
 *
 * @throws PanamaxError `io` within seconds if Redis is unreachable; `usage` if the run exists with another request
 */
export async function enqueue(plan: RunRequest, store: Store, options: EnqueueOptions): Promise<Enqueued> {
  return inSpan('panamax enqueue', { 'panamax.run': plan.id }, () => enqueueNow(plan, store, options));
}

async function enqueueNow(plan: RunRequest, store: Store, options: EnqueueOptions): Promise<Enqueued> {
  const connection = await connectProducer(options.redis, store);
  const queues = openQueues(connection, options.jobs);
  try {
    const before = await findRequest(store, plan.id);
    if (before?.isEarlier) throw earlierRun(plan.id);
    if (before && !isSameRequest(before, plan)) {
      throw new PanamaxError('usage', 'the run asks for something else', {
        expected: 'another name, or the same images and options as before',
        found: plan.id,
        where: store.where,
      });
    }
    if (!before && !options.dryRun) await putRequest(store, plan);
    const known = createRunPlan(plan, store, { isReadOnly: true });
    if (before) await known.update();
    const skipped = await skipKnown(plan, [...known.jobs('signature')], store, options);
    const stages: Partial<Record<Stage, StageTally>> = {};
    for (const stage of STAGES) {
      const jobs = [...known.jobs<Stage>(stage, true)].filter(({ item }) => !skipped.has(item));
      const tally = await enqueueStage(plan.id, stage, jobs, {
        ...options,
        store,
        queues,
        priority: plan.priority,
      });
      stages[stage] = { ...tally, skipped: stage === 'signature' ? skipped.size : 0 };
    }
    const isOver = before && (await findSummary(store, plan.id));
    if (!options.dryRun && !isOver) await addCoordinator(plan.id, randomBytes(4).toString('hex'), queues);
    return { run: plan.id, stages: stages as Record<Stage, StageTally> };
  } finally {
    await queues.close();
    connection.redis.disconnect();
  }
}

/** Records the outcomes of images that other runs have read; they need no job. @returns their items */
async function skipKnown(
  plan: RunRequest,
  left: readonly SignatureJob[],
  store: Store,
  { dryRun }: Pick<EnqueueOptions, 'dryRun'>,
): Promise<Set<string>> {
  const references = left.map(({ reference }) => reference);
  const known = await findKnown(references, plan.platform, store);
  const skipped = left.filter(({ reference }) => known.has(reference));
  if (!dryRun) {
    const status = 'skipped' as const;
    const outcomes = skipped.map(({ item, reference }) => {
      const manifest = known.get(reference);
      return [item, { status, reference, manifest }] as const;
    });
    await putOutcomes(store, plan.id, 'signature', new Map(outcomes));
  }
  return new Set(skipped.map(({ item }) => item));
}

async function enqueueStage(
  run: string,
  stage: Stage,
  jobs: readonly ItemJob[],
  options: EnqueueOptions & Pick<ScheduleOptions, 'store' | 'queues' | 'priority'>,
): Promise<Omit<StageTally, 'skipped'>> {
  const { store, queues, retryFailed, dryRun } = options;
  const over = await listOutcomes(store, run, stage);
  const failed = jobs.filter(({ item }) => over.get(item) === 'failed');
  const left = jobs.filter(({ item }) => !over.has(item));
  const retried = retryFailed ? failed : [];
  if (retried.length > 0 && !dryRun) {
    // a failed job that Redis keeps blocks its ID
    await queues.remove(
      stage,
      retried.map(({ item }) => jobId(run, item)),
    );
    await forgetFailures(
      store,
      run,
      stage,
      retried.map(({ item }) => item),
    );
  }
  const wanted = dryRun ? left : [...retried, ...left];
  const scheduled = await ensureQueued(stage, wanted, options);
  return {
    added: scheduled.added + (dryRun ? retried.length : 0),
    queued: scheduled.queued,
    failed: failed.length + scheduled.failed,
    done: jobs.length - failed.length - left.length + scheduled.done,
  };
}

/** Default of `checkEvery`. */
const CHECK_EVERY = 15_000;

export interface WaitOptions {
  readonly redis: string;
  readonly signal: AbortSignal;
  readonly onStatus: (status: RunStatus) => void;
  /** Called with the stages that have work left but no worker. */
  readonly onUnattended?: (stages: readonly Stage[]) => void;
  /** Interval at which the coordinator and workers are looked for, in milliseconds. */
  readonly checkEvery?: number;
}

/**
 * Follows a run in the store until it is over. If Redis has lost the run, a new coordinator is added, which adds the
 * remaining jobs.
 *
 * @throws PanamaxError `io` if the store stays unreachable
 */
export async function waitForRun(
  run: string,
  store: Store,
  { redis, signal, onStatus, onUnattended, checkEvery = CHECK_EVERY }: WaitOptions,
): Promise<RunStatus> {
  const read = await createStatusReader(store, run);
  const interval = createPollInterval();
  let checked = performance.now();
  for (;;) {
    const status = await read();
    onStatus(status);
    if (status.finished !== undefined) return status;
    if (performance.now() - checked > checkEvery) {
      checked = performance.now();
      // an error is ignored: the next check tries again
      const unattended = await keepCoordinated(run, store, redis).catch((): QueueName[] => []);
      const waiting = STAGES.filter((stage) => isLeft(status.stages[stage]) && unattended.includes(stage));
      if (waiting.length > 0) onUnattended?.(waiting);
    }
    const over = STAGES.map((stage) => status.stages[stage]).reduce(
      (sum, { done, skipped, failed }) => sum + done + skipped + failed,
      0,
    );
    await sleep(interval.next(over), undefined, { signal });
  }
}

/** Name of the coordinator that waiting producers add; all use the same one. */
const WAITERS = 'wait';

function isLeft({ total, done, skipped, failed }: StageStatus): boolean {
  return total === undefined || done + skipped + failed < total;
}

/** @returns the queues without a worker */
async function keepCoordinated(run: string, store: Store, redis: string): Promise<readonly QueueName[]> {
  const connection = await connectProducer(redis, store);
  const queues = openQueues(connection);
  try {
    const [state] = await queues.states(RUN_QUEUE, [jobId(run, WAITERS)]);
    if (state === 'completed' || state === 'failed') await queues.remove(RUN_QUEUE, [jobId(run, WAITERS)]);
    if (state !== 'queued') await addCoordinator(run, WAITERS, queues);
    return await queues.unattended();
  } finally {
    await queues.close();
    connection.redis.disconnect();
  }
}
