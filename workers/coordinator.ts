import { setTimeout as sleep } from 'node:timers/promises';
import { toPanamaxError } from '../lib/errors.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { StageContext } from './context.ts';
import type { RunRequest } from '../lib/run/request.ts';
import { createPollInterval } from '../lib/run/pollinterval.ts';
import { listPairs, loadRequest, putPairings, putScope } from '../lib/run/record.ts';
import { listOutcomes } from '../lib/run/outcome.ts';
import { HEARTBEAT, putHeartbeat } from '../lib/run/runs.ts';
import { STAGES, type Stage } from '../lib/run/stage.ts';
import { findSummary } from '../lib/run/summary.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { notifyFinished } from './notify/tell.ts';
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

/** Time without progress after which lost jobs are added again, in milliseconds. */
const REPAIR_AFTER = 30_000;
/** Delay before the next attempt when the store does not answer, in milliseconds. */
const RETRY_AFTER = 5000;

/**
 * Leads a run through its stages and writes its report. Reads only the store, so any worker can take over at any time,
 * and two coordinators at once do no harm.
 *
 * @throws PanamaxError `not-found` or `bad-input` if the run's record is gone or damaged
 */
export async function coordinate(run: string, context: StageContext, queues: Queues): Promise<void> {
  const { store, signal, log } = context;
  for (;;) {
    try {
      const request = await loadRequest(store, run);
      const images = await followItems(request, context, queues);
      await publishNames(request.targets, images, context);
      if (request.publish) await pushNames(request.targets, images, context);
      const before = (await findSummary(store, run)) !== undefined;
      await writeReport(request, images, store);
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
async function followItems(
  request: RunRequest,
  { store, signal }: StageContext,
  queues: Queues,
): Promise<ReadImages> {
  const { priority } = request;
  const rankings = createRankings(request, store);
  const interval = createPollInterval();
  let repaired = -Infinity;
  let beaten = -Infinity;
  for (;;) {
    signal.throwIfAborted();
    if (performance.now() - beaten > HEARTBEAT) {
      await putHeartbeat(store, request.id);
      beaten = performance.now();
    }
    const { images, pairings, added } = await rankings.next();
    // In the order of the stages: an item that is over has left its successors.
    const left: Record<Stage, readonly ItemJob[]> = {
      signature: signatureJobs(request).filter(({ reference }) => !images.has(reference)),
      pairing: await leftOf(request.id, 'pairing', pairings, store),
      delta: await leftOf(
        request.id,
        'delta',
        deltaJobs(request.id, await listPairs(store, request.id)),
        store,
      ),
    };
    const total = STAGES.reduce((sum, stage) => sum + left[stage].length, 0);
    if (total === 0) return images;
    const delay = interval.next(total);
    if (repaired === -Infinity || performance.now() - Math.max(repaired, interval.changed) > REPAIR_AFTER) {
      for (const stage of STAGES) await ensureQueued(stage, left[stage], { store, queues, priority });
      repaired = performance.now();
    } else {
      await addJobs('pairing', added, queues, priority);
    }
    await sleep(delay, undefined, { signal });
  }
}

/** The rankings of a run, extended as its images are read. */
function createRankings(request: RunRequest, store: Store) {
  const images: ReadImages = new Map();
  const scopes = new Set<string>();
  let pairings: readonly PairingJob[] = [];
  let isFirst = true;
  return {
    /** Reads the new outcomes and records the rankings that follow. `added`: rankings that are new. */
    async next() {
      const isChanged = await readImages(request, images, store);
      if (!isChanged && !isFirst) return { images, pairings, added: [] };
      isFirst = false;
      const planned = planPairings(request, images);
      for (const [scope, members] of planned.scopes) {
        if (!scopes.has(scope)) await putScope(store, request.id, scope, members);
        scopes.add(scope);
      }
      await putPairings(store, request.id, planned);
      const known = new Set(pairings.map(({ item }) => item));
      pairings = pairingJobs(request.id, planned.pairings);
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
