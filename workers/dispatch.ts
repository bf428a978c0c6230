import { PanamaxError, toPanamaxError, type ErrorKind } from '../lib/errors.ts';
import { jobId, RUN_QUEUE, type QueueName } from '../lib/queue/names.ts';
import type { Leases } from '../lib/queue/lease.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { JobAttempt, JobHandler, JobResult } from '../lib/queue/worker.ts';
import { loadRequest } from '../lib/run/record.ts';
import type { RunRequest } from '../lib/run/request.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { logWith, type Log, type RunExclusive, type StageContext } from './context.ts';
import { createAffinity } from './affinity.ts';
import { coordinate } from './coordinator.ts';
import type { ItemJob, StageHandlers, StageJob } from './flow.ts';
import { runItem } from './item.ts';
import { parseItemJob, parseRunJob, type RunJob } from './jobs.ts';
import { notifyRunFailed } from './notify/tell.ts';
import { isPlanned } from './planned.ts';
import { addCoordinator, addJobs, writeFailure } from './schedule.ts';

/** Result of one attempt at an item, for logs and metrics. */
export interface AttemptEvent {
  readonly stage: Stage;
  readonly run: string;
  readonly item: string;
  /** `retried`: it failed and will be tried again. */
  readonly status: Status | 'retried';
  readonly seconds: number;
  /** Of an attempt that failed. */
  readonly kind?: ErrorKind;
  /** Of an attempt that succeeded: the fields of its outcome. */
  readonly outcome?: object;
}

/** The queue's driver: takes jobs of one worker process and runs them with its resources. */
export interface Dispatcher {
  /** Signal, log fields and locks are added for each job. */
  readonly context: Omit<StageContext, 'signal' | 'runExclusive'>;
  readonly queues: Queues;
  readonly leases: Leases;
  /** Interval at which a lease is renewed during its work, in milliseconds. */
  readonly leaseRenewal: number;
  readonly handlers?: StageHandlers;
  readonly onAttempt?: (event: AttemptEvent) => void;
}

/** Delay before an item or run that another worker leases is tried again, in milliseconds. */
const LEASE_WAIT = 2000;
/** Requests of runs kept in memory. */
const KEPT_REQUESTS = 8;

/** Error kinds that a retry does not help. Errors of other kinds are retried unless they are marked final. */
const PERMANENT: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'usage',
  'bad-input',
  'wrong-source',
  'bad-patch',
  'limit',
  'not-found',
]);

const isPermanent = ({ kind, facts }: PanamaxError) => PERMANENT.has(kind) || facts.isFinal === true;

/**
 * Runs a stage's handler for each job: takes the item's lease, records the outcome, then enqueues follow-up jobs. The
 * outcome is written before the job is acknowledged, so an acknowledged job always has one.
 */
export function stageDispatcher(stage: Stage, dispatcher: Dispatcher): JobHandler {
  const { context, queues, handlers, onAttempt } = dispatcher;
  const request = createRequestCache(context.store);
  const affinity =
    stage === 'delta' ? createAffinity(queues, dispatcher.leases, dispatcher.leaseRenewal) : undefined;
  async function isInPlan(job: StageJob[Stage]): Promise<boolean> {
    const found = await request(job.run).catch((error: unknown) => {
      if (error instanceof PanamaxError && error.kind === 'not-found') return undefined;
      throw error;
    });
    return found !== undefined && isPlanned(stage, job as never, found, context.store);
  }
  return async (attempt) => {
    let job: StageJob[Stage];
    try {
      job = parseItemJob(stage, attempt.data, jobName(stage, attempt));
    } catch (error) {
      return malformed(error, context.log);
    }
    const { run, item } = job;
    const log = logWith(context.log, { run, stage, job: item });
    using claim = await affinity?.claim(item, attempt);
    if (affinity && !claim) return { kind: 'giveBack' };
    const planned = await isInPlan(job).catch(toPanamaxError);
    if (planned === false) return refused(job, log);
    const result = await runItem(stage, job as never, contextOf(dispatcher, attempt, log), {
      request,
      addJobs: async (next, jobs) => addJobs(next, jobs, queues, (await request(run)).priority),
      isOver: (error) => attempt.isLast || isPermanent(error),
      // the coordinator then records it from the reason that the queue keeps
      onUnrecorded: (error) =>
        log.warn({ error: toPanamaxError(error).message }, 'the failure could not be recorded'),
      ...(planned === true ? handlers && { handlers } : { handlers: failing(planned) }),
    });
    const { seconds } = result;
    if (result.status === 'busy') return { kind: 'retryLater', delay: LEASE_WAIT };
    if ('outcome' in result) {
      const { status, outcome } = result;
      onAttempt?.({ stage, run, item, seconds, status, outcome });
      return { kind: 'done' };
    }
    const { status, error } = result;
    const { kind, message } = error;
    // the job is handed back, or another worker has it
    if (status === 'interrupted') return { kind: 'failed', message: `interrupted: ${message}`, final: false };
    log.warn(
      { kind, error: message, attempt: attempt.attempt },
      status === 'failed' ? 'job failed' : 'job will be retried',
    );
    onAttempt?.({ stage, run, item, seconds, status, kind });
    return { kind: 'failed', message: writeFailure({ kind, message }), final: isPermanent(error) };
  };
}

/** Leads runs. One worker at a time leads each; the jobs of others wait in case it dies. */
export function runDispatcher(dispatcher: Dispatcher): JobHandler {
  const { context, queues } = dispatcher;
  return async (attempt): Promise<JobResult> => {
    let job: RunJob;
    try {
      job = parseRunJob(attempt.data, jobName(RUN_QUEUE, attempt));
    } catch (error) {
      return malformed(error, context.log);
    }
    const { run, name } = job;
    const log = logWith(context.log, { run, stage: 'run', job: name });
    try {
      const leading = contextOf(dispatcher, attempt, log);
      const isLed = await leading.runExclusive(jobId(run), () => coordinate(run, leading, queues));
      return isLed ? { kind: 'done' } : { kind: 'retryLater', delay: LEASE_WAIT };
    } catch (error) {
      const { kind, message } = toPanamaxError(error);
      if (attempt.signal.aborted) {
        // if Redis has been wiped, the job must be added again
        await addCoordinator(run, name, queues);
        return { kind: 'retryLater', delay: 0 };
      }
      log.warn({ kind, error: message }, 'the run cannot be led');
      const isOver = PERMANENT.has(kind) || attempt.isLast;
      if (isOver) notifyRunFailed(context, run, toPanamaxError(error));
      return { kind: 'failed', message: writeFailure({ kind, message }), final: PERMANENT.has(kind) };
    }
  };
}

const jobName = (queue: QueueName, { id }: JobAttempt) => `job ${id} of queue ${queue}`;

/** Refuses a job that is not in the plan of its run. It leaves nothing in the run's record. */
function refused(job: ItemJob, log: Log): JobResult {
  const facts = { expected: `a job of run ${job.run}`, found: JSON.stringify(job) };
  return malformed(new PanamaxError('bad-input', 'the job is not in the plan of its run', facts), log);
}

/** Handlers for an item whose plan could not be read. */
function failing(error: PanamaxError): StageHandlers {
  const fail = async () => {
    throw error;
  };
  return { signature: fail, pairing: fail, delta: fail };
}

/** A malformed job names no run whose record could tell of it. */
function malformed(error: unknown, log: Log): JobResult {
  const { kind, message } = toPanamaxError(error);
  log.warn({ kind, error: message }, 'job failed');
  return { kind: 'failed', message: writeFailure({ kind, message }), final: true };
}

function contextOf(
  dispatcher: Dispatcher,
  attempt: JobAttempt,
  log: Log,
): StageContext & { readonly runExclusive: RunExclusive } {
  const runExclusive: RunExclusive = (name, action) => withLease(name, attempt, dispatcher, action);
  return { ...dispatcher.context, log, signal: attempt.signal, runExclusive };
}

/** @returns false if another job has the lease; then the action was not run */
async function withLease(
  name: string,
  { id }: JobAttempt,
  { leases, leaseRenewal }: Dispatcher,
  action: () => Promise<void>,
): Promise<boolean> {
  if (!(await leases.take(name, id))) return false;
  // an error is ignored: losing the lease only costs double work
  const renewal = setInterval(() => void leases.take(name, id).catch(() => {}), leaseRenewal);
  try {
    await action();
    return true;
  } finally {
    clearInterval(renewal);
    await leases.release(name, id);
  }
}

/** A run's request never changes, and may be long. The oldest one is dropped first (FIFO). */
function createRequestCache(store: Store): (run: string) => Promise<RunRequest> {
  const requests = new Map<string, RunRequest>();
  return async (run) => {
    const known = requests.get(run);
    if (known) return known;
    const request = await loadRequest(store, run);
    requests.set(run, request);
    if (requests.size > KEPT_REQUESTS) requests.delete(requests.keys().next().value!);
    return request;
  };
}
