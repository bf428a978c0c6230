import { PanamaxError } from '../lib/errors.ts';
import { loadPair, nameSources, putRequest } from '../lib/run/record.ts';
import { sumBytes, type RunReport } from '../lib/run/report.ts';
import type { PatchOutcome } from '../lib/run/schemas.ts';
import { createTimeLeft } from '../lib/run/timeleft.ts';
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
import { createRunPlan, workOf } from '../workers/runplan.ts';

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
  /** Estimate for the stage, from the bytes of the items that were done; undefined without a rate. */
  readonly secondsLeft?: number;
}

/** An item for people, and its share of the work of its stage. */
interface Described {
  readonly label: string;
  /** Bytes; 1 where the bytes of the items are not known beforehand. */
  readonly work: number;
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

  /** @param total of the work of its items */
  async function stage<S extends Stage>(
    name: S,
    jobs: readonly StageJob[S][],
    total: number,
    describe: (job: StageJob[S]) => Described | Promise<Described>,
  ): Promise<void> {
    const driver = {
      request: async () => request,
      // the next stage takes its jobs from the plan
      addJobs: async () => {},
      isOver: () => true,
      onUnrecorded(error: unknown) {
        throw error;
      },
    };
    const time = createTimeLeft();
    let [done, left] = [0, total];
    time.estimate({ done, left });
    onProgress(name, { total: jobs.length });
    const attempt = async (job: StageJob[S]) => {
      const { label: item, work } = await describe(job);
      const tell = (news: Partial<ItemProgress>) => {
        const secondsLeft = time.estimate({ done, left });
        onProgress(name, {
          total: jobs.length,
          item,
          ...news,
          ...(secondsLeft !== undefined && { secondsLeft }),
        });
      };
      tell({ status: 'started' });
      const result = await runItem(name, job, context, driver);
      const { status } = result;
      const saved = 'outcome' in result && 'patches' in result.outcome ? savedBy(result.outcome.patches) : 0;
      left -= work;
      if (status === 'done') done += work;
      if (status !== 'interrupted') tell({ status, saved });
    };
    const settled = await runPool(jobs, concurrency, attempt, signal);
    if (signal.aborted) throw interrupted(signal);
    const broken = settled.find((result) => result.status === 'rejected');
    if (broken) throw broken.reason;
    await plan.update();
    await alive.report(progressOf(plan));
  }

  // Stage 1: signatures of all images.
  const signatures = [...plan.jobs('signature')];
  await stage('signature', signatures, signatures.length, ({ reference }) => ({ label: reference, work: 1 }));
  // Stage 2: rankings within the sets of images that were read.
  const rankings = [...plan.jobs('pairing')];
  await stage('pairing', rankings, rankings.length, ({ target }) => ({ label: target.reference, work: 1 }));
  // Stage 3: patches of the pairs that the rankings chose.
  const bytes = plan.work('delta').left;
  await stage('delta', [...plan.jobs('delta')], bytes, async ({ ranking, item }) => {
    const pair = await loadPair(store, run, ranking, item);
    return { label: `${pair.target.reference} from ${nameSources(pair)}`, work: workOf(pair.candidate) };
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
