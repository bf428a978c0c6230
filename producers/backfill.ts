import { PanamaxError } from '../lib/errors.ts';
import { loadPair, nameSources, putRequest } from '../lib/run/record.ts';
import { sumBytes, type RunReport } from '../lib/run/report.ts';
import type { PatchOutcome } from '../lib/run/schemas.ts';
import { newRunId, type RunRequest } from '../lib/run/request.ts';
import { keepAlive } from '../lib/run/runs.ts';
import type { Stage } from '../lib/run/stage.ts';
import { findReport, findSummary } from '../lib/run/summary.ts';
import { runPool } from '../lib/runtime/pool.ts';
import type { StageContext } from '../workers/context.ts';
import type { StageJob } from '../workers/flow.ts';
import { notifyFinished } from '../workers/notify/tell.ts';
import { runItem } from '../workers/item.ts';
import { publishNames } from '../workers/publish/name.ts';
import { progressOf } from '../workers/progresswriter.ts';
import { writeReport } from '../workers/report.ts';
import { createRunPlan } from '../workers/runplan.ts';

export interface BackfillRequest extends Omit<RunRequest, 'id' | 'started'> {
  readonly concurrency: number;
}

/** Called when the jobs of a stage are known, and when an item of it starts and is over. */
export type OnProgress = (stage: Stage, progress: ItemProgress) => void;

export interface ItemProgress {
  readonly total: number;
  readonly item?: string;
  /** `started`, or how the item ended. */
  readonly status?: string;
  /** Bytes that the patches of the item save, against a pull. */
  readonly saved?: number;
}

/**
 * The embedded driver: a whole run in this process. Signatures of all images, then a ranking for each target and set of
 * sources, then patches from the best sources. An item that fails is recorded and blocks only the items that need it.
 * The store alone determines what is left to do, so a second start continues the first. The run's record is the same as
 * that of a run on the queue.
 *
 * @throws PanamaxError `interrupted` after an abort, when all items under way have ended
 */
export async function backfill(
  { concurrency, ...inputs }: BackfillRequest,
  context: StageContext,
  onProgress: OnProgress = () => {},
): Promise<RunReport> {
  const { signal, store } = context;
  const started = new Date();
  const run = newRunId(started);
  const request: RunRequest = { id: run, started: started.toISOString(), ...inputs };
  await putRequest(store, request);
  await using alive = await keepAlive(store, run);
  const plan = createRunPlan(request, store, { memory: context.memory.size });

  async function stage<S extends Stage>(
    name: S,
    label: (job: StageJob[S]) => string | Promise<string>,
  ): Promise<void> {
    const jobs = [...plan.jobs(name)];
    const driver = {
      request: async () => request,
      // the next stage takes its jobs from the plan
      addJobs: async () => {},
      isOver: () => true,
      onUnrecorded(error: unknown) {
        throw error;
      },
    };
    onProgress(name, { total: jobs.length });
    const attempt = async (job: StageJob[S]) => {
      const progress = { total: jobs.length, item: await label(job) };
      onProgress(name, { ...progress, status: 'started' });
      const result = await runItem(name, job, context, driver);
      const { status } = result;
      const saved = 'outcome' in result && 'patches' in result.outcome ? savedBy(result.outcome.patches) : 0;
      if (status !== 'interrupted') onProgress(name, { ...progress, status, saved });
    };
    const settled = await runPool(jobs, concurrency, attempt, signal);
    if (signal.aborted) throw interrupted(signal);
    const broken = settled.find((result) => result.status === 'rejected');
    if (broken) throw broken.reason;
    await plan.update();
    await alive.report(progressOf(plan));
  }

  // Stage 1: signatures of all images.
  await stage('signature', ({ reference }) => reference);
  // Stage 2: rankings within the sets of images that were read.
  await stage('pairing', ({ target }) => target.reference);
  // Stage 3: patches of the pairs that the rankings chose.
  await stage('delta', async ({ ranking, item }) => {
    const pair = await loadPair(store, run, ranking, item);
    return `${pair.target.reference} from ${nameSources(pair)}`;
  });
  await publishNames(request.targets, plan.images, context);
  await writeReport(plan, store);
  notifyFinished(context, await findSummary(store, run), false);
  return (await findReport(store, run))!;
}

function savedBy(patches: unknown): number {
  return sumBytes(patches as PatchOutcome[]).saved;
}

function interrupted(signal: AbortSignal): PanamaxError {
  return new PanamaxError('interrupted', 'stopped; start again to continue', {}, { cause: signal.reason });
}
