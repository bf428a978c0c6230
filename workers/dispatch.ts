import { toPanamaxError, type ErrorKind } from '../lib/errors.ts';
import { jobId, RUN_QUEUE, type QueueName } from '../lib/queue/names.ts';
import type { Leases } from '../lib/queue/lease.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { JobAttempt, JobHandler, Verdict } from '../lib/queue/worker.ts';
import { logWith, type Log, type StageContext } from './context.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import { loadPlan, putOutcome } from '../lib/run/record.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { Sign } from '../lib/store/key.ts';
import { coordinate } from './coordinator.ts';
import { FLOW, subjectOf, type ItemJob, type StageHandlers } from './flow.ts';
import { parseItemJob, parseRunJob, type RunJob } from './jobs.ts';
import { addCoordinator, addJobs, writeFailure } from './schedule.ts';

/** What an attempt at an item came to; for logs and metrics. */
export interface AttemptEvent {
  readonly stage: Stage;
  readonly run: string;
  readonly item: string;
  /** `retried`: it failed and will be tried again. */
  readonly status: Status | 'retried';
  readonly seconds: number;
  /** Of an attempt that failed. */
  readonly kind?: ErrorKind;
  /** Of one that went well: what the outcome says. */
  readonly outcome?: object;
}

export interface DispatchContext {
  readonly store: Store;
  readonly queues: Queues;
  readonly leases: Leases;
  /** How often a lease is taken again while its work goes on, in milliseconds. */
  readonly leaseRenewal: number;
  readonly limits: StageContext['limits'];
  readonly scratch: string;
  readonly layers: StageContext['layers'];
  readonly memory: StageContext['memory'];
  readonly similar: StageContext['similar'];
  readonly sign?: Sign;
  readonly handlers?: StageHandlers;
  readonly log: Log;
  readonly onAttempt?: (event: AttemptEvent) => void;
}

/** What another run is at work on is looked at again after so many milliseconds. */
const LEASE_WAIT = 2000;
/** Runs whose plans are kept in memory. */
const KEPT_PLANS = 8;

/** Nothing that is done again will help. What is not in this list may go well later, unless the error says otherwise. */
const PERMANENT: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'usage',
  'bad-input',
  'wrong-source',
  'bad-patch',
  'limit',
  'not-found',
]);

/**
 * Lets a stage's handler loose on the jobs of its queue: takes care that no two runs do one thing at once, adds what
 * follows, and writes how it ended into the run's record, in this order, so that a job that is gone from the queue has
 * left its outcome.
 */
export function stageDispatcher(stage: Stage, context: DispatchContext): JobHandler {
  const { store, queues, handlers = FLOW } = context;
  const planOf = createPlanCache(store);
  const handle = handlers[stage] as (
    job: ItemJob,
    plan: RunPlan,
    context: StageContext,
  ) => ReturnType<StageHandlers[Stage]>;

  return async (attempt) => {
    let job: ItemJob;
    try {
      job = parseItemJob(stage, attempt.data, jobName(stage, attempt));
    } catch (error) {
      return malformed(error, context.log);
    }
    const { run, item } = job;
    const log = logWith(context.log, { run, stage, job: item });
    const started = performance.now();
    const report = (event: Pick<AttemptEvent, 'status' | 'kind' | 'outcome'>) =>
      context.onAttempt?.({ stage, run, item, seconds: (performance.now() - started) / 1000, ...event });
    try {
      const worked = await withLease(`${stage}.${item}`, attempt, context, async () => {
        const plan = await planOf(run);
        const { limits, scratch, layers, memory, similar } = context;
        const { status, outcome, next } = await handle(job, plan, {
          store,
          log,
          signal: attempt.signal,
          limits,
          scratch,
          layers,
          memory,
          similar,
          alone: (what, action) => withLease(what, attempt, context, action),
          ...signing(context),
        });
        if (next) await addJobs(next.stage, next.jobs, queues);
        const seconds = (performance.now() - started) / 1000;
        await putOutcome(store, run, stage, item, { status, ...outcome, seconds } as { status: Status });
        report({ status, outcome });
      });
      return worked ? { kind: 'over' } : { kind: 'later', delay: LEASE_WAIT };
    } catch (error) {
      const { kind, message, facts } = toPanamaxError(error);
      // to be handed back, or another worker has it
      if (attempt.signal.aborted) return { kind: 'failed', message: `interrupted: ${message}`, final: false };
      const final = PERMANENT.has(kind) || facts.isFinal === true;
      const isOver = final || attempt.isLast;
      log.warn(
        { kind, error: message, attempt: attempt.attempt },
        isOver ? 'job failed' : 'job will be retried',
      );
      report({ status: isOver ? 'failed' : 'retried', kind });
      const failure = { kind, message };
      if (isOver) {
        const outcome = { status: 'failed', error: failure, ...subjectOf(job) } as const;
        // without one the coordinator writes it, from what the queue keeps
        await putOutcome(store, run, stage, item, outcome).catch((error: unknown) =>
          log.warn({ error: toPanamaxError(error).message }, 'the failure could not be recorded'),
        );
      }
      return { kind: 'failed', message: writeFailure(failure), final };
    }
  };
}

/** Leads runs. One at a time leads each; others wait in case it dies. */
export function runDispatcher(context: DispatchContext): JobHandler {
  const { store, queues } = context;
  return async (attempt): Promise<Verdict> => {
    let job: RunJob;
    try {
      job = parseRunJob(attempt.data, jobName(RUN_QUEUE, attempt));
    } catch (error) {
      return malformed(error, context.log);
    }
    const { run, name } = job;
    const log = logWith(context.log, { run, stage: 'run', job: name });
    try {
      const led = await withLease(jobId(run), attempt, context, () =>
        coordinate(run, {
          store,
          queues,
          log,
          signal: attempt.signal,
          limits: context.limits,
          ...signing(context),
        }),
      );
      return led ? { kind: 'over' } : { kind: 'later', delay: LEASE_WAIT };
    } catch (error) {
      const { kind, message } = toPanamaxError(error);
      if (attempt.signal.aborted) {
        // where Redis has been wiped, the job has to come from somewhere
        await addCoordinator(run, name, queues);
        return { kind: 'later', delay: 0 };
      }
      log.warn({ kind, error: message }, 'the run cannot be led');
      return { kind: 'failed', message: writeFailure({ kind, message }), final: PERMANENT.has(kind) };
    }
  };
}

const jobName = (queue: QueueName, { id }: JobAttempt) => `job ${id} of queue ${queue}`;

/** It belongs to no run that could be told of it. */
function malformed(error: unknown, log: Log): Verdict {
  const { kind, message } = toPanamaxError(error);
  log.warn({ kind, error: message }, 'job failed');
  return { kind: 'failed', message: writeFailure({ kind, message }), final: true };
}

function signing({ sign }: DispatchContext): { readonly sign?: Sign } {
  return sign ? { sign } : {};
}

/** @returns false where another has the lease, and nothing was done */
async function withLease(
  what: string,
  { id }: JobAttempt,
  { leases, leaseRenewal }: DispatchContext,
  action: () => Promise<void>,
): Promise<boolean> {
  if (!(await leases.take(what, id))) return false;
  // losing it does no harm but double work
  const renewal = setInterval(() => void leases.take(what, id).catch(() => {}), leaseRenewal);
  try {
    await action();
    return true;
  } finally {
    clearInterval(renewal);
    await leases.release(what, id);
  }
}

/** A run's plan never changes, and may be long. */
function createPlanCache(store: Store): (run: string) => Promise<RunPlan> {
  const plans = new Map<string, RunPlan>();
  return async (run) => {
    const known = plans.get(run);
    if (known) return known;
    const plan = await loadPlan(store, run);
    plans.set(run, plan);
    if (plans.size > KEPT_PLANS) plans.delete(plans.keys().next().value!);
    return plan;
  };
}
