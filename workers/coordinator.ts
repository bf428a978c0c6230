import { setTimeout as sleep } from 'node:timers/promises';
import { toPanamaxError } from '../lib/errors.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { StageContext } from './context.ts';
import { createPollInterval } from '../lib/run/pollinterval.ts';
import { loadRequest } from '../lib/run/record.ts';
import { leftOf } from '../lib/run/report.ts';
import { earlierRun } from '../lib/run/request.ts';
import { STAGES } from '../lib/run/stage.ts';
import { findSummary } from '../lib/run/summary.ts';
import { notifyFinished } from './notify/tell.ts';
import { publishNames } from './publish/name.ts';
import { pushNames } from './publish/beside.ts';
import { createProgressWriter } from './progresswriter.ts';
import { chunksOf, writeReport } from './report.ts';
import { createRunPlan, type RunPlan } from './runplan.ts';
import { addJobs, ensureQueued } from './schedule.ts';

/** Jobs that are added at a time. */
const CHUNK = 1000;
/** Time without progress after which lost jobs are added again, in milliseconds. */
const REPAIR_AFTER = 30_000;
/** Delay before the next attempt when the store does not answer, in milliseconds. */
const RETRY_AFTER = 5000;

/**
 * Leads a run through its stages and writes its report. Reads only the store, so any worker can take over at any time,
 * and two coordinators at once do no harm.
 *
 * @throws PanamaxError `not-found` or `bad-input` if the run's record is gone or damaged, `limit` for a run with more items
 * than the memory of this process takes, `usage` for a run of an earlier version
 */
export async function coordinate(run: string, context: StageContext, queues: Queues): Promise<void> {
  const { store, signal, log } = context;
  for (;;) {
    try {
      const request = await loadRequest(store, run);
      if (request.isEarlier) throw earlierRun(run);
      const plan = createRunPlan(request, store, { memory: context.memory.size });
      await followItems(plan, context, queues);
      await publishNames(request.targets, plan.images, context);
      if (request.publish) await pushNames(request.targets, plan.images, context);
      const before = (await findSummary(store, run)) !== undefined;
      await writeReport(plan, store);
      notifyFinished(context, await findSummary(store, run), before);
      log.info({}, 'run is over');
      return;
    } catch (error) {
      signal.throwIfAborted();
      const known = toPanamaxError(error);
      if (known.kind !== 'io') throw known;
      log.warn({ error: known.message }, 'the coordinator waits for the store');
      await sleep(RETRY_AFTER, undefined, { signal });
    }
  }
}

/** Waits until all items are over. Adds the rankings of each set of images as soon as the whole set has been read. */
async function followItems(plan: RunPlan, { store, signal }: StageContext, queues: Queues): Promise<void> {
  const { id, priority } = plan.request;
  const progress = createProgressWriter(id, store);
  const interval = createPollInterval();
  let repaired = -Infinity;
  for (;;) {
    signal.throwIfAborted();
    await plan.update();
    await progress.write(plan);
    const left = STAGES.map((stage) => leftOf(plan.counts(stage))).reduce((sum, one) => sum + one, 0);
    if (left === 0 && plan.isComplete) return;
    const delay = interval.next(left);
    for (const jobs of chunksOf(plan.newRankings(), CHUNK)) await addJobs('pairing', jobs, queues, priority);
    if (repaired === -Infinity || performance.now() - Math.max(repaired, interval.changed) > REPAIR_AFTER) {
      for (const stage of STAGES) {
        for (const jobs of chunksOf(plan.jobs(stage), CHUNK))
          await ensureQueued(stage, jobs, { store, queues, priority });
      }
      repaired = performance.now();
    }
    await sleep(delay, undefined, { signal });
  }
}
