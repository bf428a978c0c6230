import { join } from 'node:path';
import type { CheckReference } from '../lib/image/allowlist.ts';
import type { Limits } from '../lib/limits.ts';
import { createForest } from '../lib/pairing/forest.ts';
import type { Board, BoardOptions } from '../lib/web/board.ts';
import { connectWorker } from '../lib/queue/connection.ts';
import { redisForest } from '../lib/queue/similarity.ts';
import { openLeases } from '../lib/queue/lease.ts';
import { RUN_QUEUE } from '../lib/queue/names.ts';
import { JOB_SETTINGS, openQueues, type JobSettings, type QueueCounts } from '../lib/queue/queues.ts';
import { annotateSpan } from '../lib/queue/tracing.ts';
import { LOCK_SETTINGS, startQueueWorker, type LockSettings } from '../lib/queue/worker.ts';
import type { Log } from './context.ts';
import { createLayerCache, type CacheStats } from './resources/layercache.ts';
import { createJobTitles } from '../lib/web/jobtitles.ts';
import type { Notify } from './notify/events.ts';
import { createMemory, defaultMemorySize } from './resources/memory.ts';
import type { Stage } from '../lib/run/stage.ts';
import { createSemaphore } from '../lib/runtime/semaphore.ts';
import { defaultScratchSize } from '../lib/runtime/scratch.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { Sign } from '../lib/store/key.ts';
import { runDispatcher, stageDispatcher, type AttemptEvent, type Dispatcher } from './dispatch.ts';
import { createJobLimit, waitUntilDrained } from './ending.ts';
import type { StageHandlers } from './flow.ts';

export interface WorkerOptions {
  readonly redis: string;
  readonly store: Store;
  readonly stages: readonly Stage[];
  /** Concurrent jobs, all stages together. */
  readonly concurrency: number;
  readonly limits: Limits;
  readonly scratch: string;
  /** Bytes that may be kept in `scratch`; by default most of the free space. */
  readonly scratchSize?: number;
  /** Memory of the process in bytes; by default most of the available memory. */
  readonly memorySize?: number;
  /** Signs what is published; undefined without a key. */
  readonly sign?: Sign;
  /** Throws for an image that the worker may not read; by default it may read all that runs name. */
  readonly checkReference?: CheckReference;
  /** Time for jobs under way to end after the abort, in milliseconds. */
  readonly grace: number;
  readonly log: Log;
  readonly onAttempt?: (event: AttemptEvent) => void;
  readonly notify?: Notify;
  /** The board, which shows the queues by HTTP. */
  readonly board?: Omit<BoardOptions, 'titleOf'>;
  /** Called when the worker takes jobs. */
  readonly onReady?: (worker: RunningWorker) => void;
  readonly locks?: LockSettings;
  readonly jobs?: JobSettings;
  readonly handlers?: StageHandlers;
  /** Whether the worker ends when no queue of the store has a job. */
  readonly drain?: boolean;
  /** Number of jobs after which the worker ends; by default it goes on. */
  readonly once?: number;
}

/** State of a worker for health checks and metrics. */
export interface RunningWorker {
  /** Rejects if Redis does not answer. */
  ping(): Promise<void>;
  counts(): Promise<Record<Stage | 'run', QueueCounts>>;
  readonly scratch: Readonly<CacheStats>;
}

/** Coordinators mostly wait, so one worker leads many runs. */
const RUNS_AT_A_TIME = 100;

/**
 * Takes jobs until the signal is aborted, the queues are empty or a number of jobs has ended, as the options say. Then
 * ends jobs under way or hands them back. Reconnects to Redis when it is lost.
 */
export async function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const { locks = LOCK_SETTINGS, jobs = JOB_SETTINGS, concurrency, log } = options;
  const warn = createWarner(log);
  const scratchSize = options.scratchSize ?? (await defaultScratchSize(options.scratch));
  const isDisk = options.scratchSize === undefined;
  await using layers = createLayerCache(join(options.scratch, 'layers'), scratchSize, isDisk);
  await using board = options.board && (await openBoard(options, options.board, warn));
  if (board) log.info({ port: board.port }, 'the board is served');
  const connection = connectWorker(options.redis, options.store, warn);
  const queues = openQueues(connection, jobs);
  const { store, limits, scratch, sign, checkReference, handlers, onAttempt, notify } = options;
  const dispatcher: Dispatcher = {
    context: {
      store,
      log,
      limits,
      scratch,
      layers,
      memory: createMemory(options.memorySize ?? defaultMemorySize()),
      similar: createForest(redisForest(connection)),
      ...(sign && { sign }),
      ...(checkReference && { checkReference }),
      ...(notify && { notify }),
    },
    queues,
    leases: openLeases(connection, locks.lockDuration),
    leaseRenewal: locks.lockDuration / 3,
    ...(handlers && { handlers }),
    onAttempt(event) {
      annotateSpan(attributesOf(event));
      onAttempt?.(event);
    },
  };
  const start = { locks, onError: warn };
  // one queue limits its jobs itself
  const shared = options.stages.length > 1 ? { slots: createSemaphore(concurrency) } : {};
  const leader = startQueueWorker(RUN_QUEUE, connection, runDispatcher(dispatcher), {
    ...start,
    concurrency: RUNS_AT_A_TIME,
  });
  const limit = options.once === undefined ? undefined : createJobLimit(options.once);
  const stages = options.stages.map((stage) => {
    const handler = stageDispatcher(stage, dispatcher);
    const limited = limit ? limit.limited(handler) : handler;
    return startQueueWorker(stage, connection, limited, { ...start, ...shared, concurrency });
  });
  log.info({ stages: options.stages, redis: connection.where, store: options.store.where }, 'worker started');
  options.onReady?.({
    ping: async () => void (await connection.redis.ping()),
    counts: () => queues.counts(),
    scratch: layers.stats,
  });
  await Promise.race([
    signal.aborted || new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
    ...(options.drain ? [waitUntilDrained(() => queues.counts(), signal)] : []),
    ...(limit ? [limit.reached] : []),
  ]);
  log.info({}, 'worker stops');
  // coordinators are handed back at once: another worker goes on with the run
  await Promise.all([leader.stop(0), ...stages.map((worker) => worker.stop(options.grace))]);
  connection.redis.disconnect();
  log.info({}, 'worker stopped');
}

/** Attributes of the span of an attempt. */
function attributesOf({ run, stage, item, status, kind }: AttemptEvent): Record<string, string> {
  const names = { run, stage, item, status, ...(kind && { error: kind }) };
  return Object.fromEntries(Object.entries(names).map(([name, value]) => [`panamax.${name}`, value]));
}

async function openBoard(
  { redis, store }: Pick<WorkerOptions, 'redis' | 'store'>,
  board: Omit<BoardOptions, 'titleOf'>,
  warn: (error: Error) => void,
): Promise<Board> {
  // loaded only when it is used, since it is large
  const { serveBoard } = await import('../lib/web/board.ts');
  return serveBoard(connectWorker(redis, store, warn), {
    ...board,
    titleOf: createJobTitles(store),
  });
}

/** Logs errors of Redis. An error that repeats while a server is down is logged once a minute. */
function createWarner(log: Log): (error: Error) => void {
  let last = '';
  let at = 0;
  return (error) => {
    const message = error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
    if (message === last && Date.now() - at < 60_000) return;
    last = message;
    at = Date.now();
    log.warn({ error: message }, 'Redis');
  };
}
