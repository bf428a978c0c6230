import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import type { StageContext } from '../workers/context.ts';
import { newRunId, type RunPlan } from '../lib/run/plan.ts';
import { runPool } from '../lib/runtime/pool.ts';
import { loadPairs, nameSources, putOutcome, putPairings, putPlan, putScope } from '../lib/run/record.ts';
import type { Failed, RunReport } from '../lib/run/report.ts';
import { keepAlive } from '../lib/run/runs.ts';
import type { Stage } from '../lib/run/stage.ts';
import { findReport } from '../lib/run/summary.ts';
import {
  FLOW,
  pairingJobs,
  planPairings,
  signatureJobs,
  subjectOf,
  type ItemJob,
  type StageJob,
  type StageResult,
} from '../workers/flow.ts';
import { publishNames } from '../workers/publish/name.ts';
import { readImages, writeReport, type ReadImages } from '../workers/report.ts';

export interface BackfillPlan extends Omit<RunPlan, 'id' | 'started'> {
  readonly concurrency: number;
}

/** Told when work is known and when an item of it is over. */
export type OnProgress = (stage: Stage, progress: { total: number; item?: string; status?: string }) => void;

/**
 * The whole job in this process: signatures of all images, a ranking for each target and set of sources, patches from
 * the best of them. An item that fails is recorded and holds up only what needs it. The store alone decides what is
 * left to do, so a second start continues where the first one stopped; the run's record is that of one on a queue.
 *
 * @throws PanamaxError `interrupted` after an abort, when everything begun has been put away
 */
export async function backfill(
  { concurrency, ...question }: BackfillPlan,
  context: StageContext,
  onProgress: OnProgress = () => {},
): Promise<RunReport> {
  const { signal, store } = context;
  const started = new Date();
  const run = newRunId(started);
  const plan: RunPlan = { id: run, started: started.toISOString(), ...question };
  await putPlan(store, plan);
  await using _alive = await keepAlive(store, run);

  /** @returns the jobs that follow, each once */
  async function stage<S extends Stage>(
    name: S,
    jobs: readonly StageJob[S][],
    label: (job: StageJob[S]) => string,
  ): Promise<ItemJob[]> {
    const handle = FLOW[name] as (
      job: StageJob[S],
      plan: RunPlan,
      context: StageContext,
    ) => Promise<StageResult>;
    const next = new Map<string, ItemJob>();
    onProgress(name, { total: jobs.length });
    const attempt = async (job: StageJob[S]) => {
      const began = performance.now();
      const ended = await handle(job, plan, context).catch((error: unknown) => failed(error, signal));
      for (const following of 'next' in ended ? (ended.next?.jobs ?? []) : [])
        next.set(following.item, following);
      const outcome = 'outcome' in ended ? ended.outcome : { ...ended, ...subjectOf(job) };
      const seconds = (performance.now() - began) / 1000;
      const over = { ...outcome, status: ended.status, seconds };
      await putOutcome(store, run, name, job.item, over);
      onProgress(name, { total: jobs.length, item: label(job), status: ended.status });
    };
    const settled = await runPool(jobs, concurrency, attempt, signal);
    if (signal.aborted) throw interrupted(signal);
    const broken = settled.find((result) => result.status === 'rejected');
    if (broken) throw broken.reason;
    return [...next.values()];
  }

  await stage('signature', signatureJobs(plan), ({ reference }) => reference);
  const images: ReadImages = new Map();
  await readImages(plan, images, store);
  const planned = planPairings(plan, images);
  for (const [scope, members] of planned.scopes) await putScope(store, run, scope, members);
  await putPairings(store, run, planned);
  const rankings = pairingJobs(run, planned.pairings);
  const deltas = await stage('pairing', rankings, ({ target }) => target.reference);
  const pairs = await loadPairs(
    store,
    run,
    deltas.map(({ item }) => item),
  );
  await stage('delta', deltas, ({ item }) => {
    const pair = pairs.get(item)!;
    return `${pair.target.reference} from ${nameSources(pair)}`;
  });
  await publishNames(plan.targets, images, context);
  await writeReport(plan, images, store);
  return (await findReport(store, run))!;
}

/** What was stopped has not failed. */
function failed(reason: unknown, signal: AbortSignal): Failed {
  signal.throwIfAborted();
  const { kind, message } = toPanamaxError(reason);
  return { status: 'failed', error: { kind, message } };
}

function interrupted(signal: AbortSignal): PanamaxError {
  return new PanamaxError('interrupted', 'stopped; start again to continue', {}, { cause: signal.reason });
}
