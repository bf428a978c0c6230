import { setTimeout as sleep } from 'node:timers/promises';
import { toPanamaxError } from '../lib/errors.ts';
import type { Limits } from '../lib/limits.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { Log } from './context.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import { createPace } from '../lib/run/pace.ts';
import { listOutcomes, listPairs, loadPlan, putPairings, putScope } from '../lib/run/record.ts';
import { HEARTBEAT, putHeartbeat } from '../lib/run/runs.ts';
import { STAGES, type Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { Sign } from '../lib/store/key.ts';
import { publishNames } from './publish/name.ts';
import { pushNames } from './publish/beside.ts';
import {
  deltaJobs,
  pairingJobs,
  planPairings,
  signatureJobs,
  type ItemJob,
  type PairingJob,
} from './flow.ts';
import { readImages, writeReport, type ReadImages } from './report.ts';
import { addJobs, ensureQueued } from './schedule.ts';

/** Where nothing has ended for so long, jobs may have been lost. In milliseconds. */
const REPAIR_AFTER = 30_000;
/** Before the store is asked again that did not answer. In milliseconds. */
const RETRY_AFTER = 5000;

export interface CoordinatorContext {
  readonly store: Store;
  readonly queues: Queues;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly limits: Limits;
  readonly sign?: Sign;
}

/**
 * Leads a run through its stages and writes its report. Looks at nothing but the store, so any worker can take over
 * at any time, and two at once do no harm.
 *
 * @throws PanamaxError `not-found` or `bad-input` where the run's record is gone or damaged
 */
export async function coordinate(run: string, context: CoordinatorContext): Promise<void> {
  const { store, signal, log } = context;
  for (;;) {
    try {
      const plan = await loadPlan(store, run);
      const images = await followItems(plan, context);
      await publishNames(plan.targets, images, context);
      if (plan.publish) await pushNames(plan.targets, images, context);
      await writeReport(plan, images, store);
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

/** Waits until all items are over, and adds the rankings of each set of images as soon as all of it has been read. */
async function followItems(plan: RunPlan, context: CoordinatorContext): Promise<ReadImages> {
  const { store, signal, queues } = context;
  const rankings = createRankings(plan, store);
  const pace = createPace();
  let repaired = -Infinity;
  let beaten = -Infinity;
  for (;;) {
    signal.throwIfAborted();
    if (performance.now() - beaten > HEARTBEAT) {
      await putHeartbeat(store, plan.id);
      beaten = performance.now();
    }
    const { images, pairings, added } = await rankings.next();
    // in the order of the stages: what is over has left its successors
    const left: Record<Stage, readonly ItemJob[]> = {
      signature: signatureJobs(plan).filter(({ reference }) => !images.has(reference)),
      pairing: await leftOf(plan.id, 'pairing', pairings, store),
      delta: await leftOf(plan.id, 'delta', deltaJobs(plan.id, await listPairs(store, plan.id)), store),
    };
    const total = STAGES.reduce((sum, stage) => sum + left[stage].length, 0);
    if (total === 0) return images;
    const delay = pace.next(total);
    if (repaired === -Infinity || performance.now() - Math.max(repaired, pace.changed) > REPAIR_AFTER) {
      for (const stage of STAGES) await ensureQueued(stage, left[stage], context);
      repaired = performance.now();
    } else {
      await addJobs('pairing', added, queues);
    }
    await sleep(delay, undefined, { signal });
  }
}

/** The rankings of a run, as its images are read. */
function createRankings(plan: RunPlan, store: Store) {
  const images: ReadImages = new Map();
  const scopes = new Set<string>();
  let pairings: readonly PairingJob[] = [];
  let isFirst = true;
  return {
    /** Looks what has been read, and writes down what follows. `added`: those that were not there before. */
    async next() {
      const isChanged = await readImages(plan, images, store);
      if (!isChanged && !isFirst) return { images, pairings, added: [] };
      isFirst = false;
      const planned = planPairings(plan, images);
      for (const [scope, members] of planned.scopes) {
        if (!scopes.has(scope)) await putScope(store, plan.id, scope, members);
        scopes.add(scope);
      }
      await putPairings(store, plan.id, planned);
      const known = new Set(pairings.map(({ item }) => item));
      pairings = pairingJobs(plan.id, planned.pairings);
      return { images, pairings, added: pairings.filter(({ item }) => !known.has(item)) };
    },
  };
}

async function leftOf(
  run: string,
  stage: Stage,
  jobs: readonly ItemJob[],
  store: Store,
): Promise<readonly ItemJob[]> {
  if (jobs.length === 0) return jobs;
  const over = await listOutcomes(store, run, stage);
  return jobs.filter(({ item }) => !over.has(item));
}
