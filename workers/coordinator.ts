import { setTimeout as sleep } from 'node:timers/promises';
import { toPanamaxError } from '../lib/errors.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { Log } from '../lib/run/context.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import { createPace } from '../lib/run/pace.ts';
import { listOutcomes, listPairs, loadPlan, putPairings, putReport } from '../lib/run/record.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/store.ts';
import type { Sign } from '../lib/trust/key.ts';
import { publishNames } from './name.ts';
import { deltaJobs, pairingJobs, planPairings, signatureJobs, type ItemJob } from './flow.ts';
import { makeReport, readManifests } from './report.ts';
import { ensureQueued } from './schedule.ts';

/** Where nothing has ended for so long, jobs may have been lost. In milliseconds. */
const REPAIR_AFTER = 30_000;
/** Before the store is asked again that did not answer. In milliseconds. */
const RETRY_AFTER = 5000;

export interface CoordinatorContext {
  readonly store: Store;
  readonly queues: Queues;
  readonly log: Log;
  readonly signal: AbortSignal;
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
      const manifests = new Map<string, Digest>();
      // what was tried again meanwhile is waited for, too
      while (await passStages(plan, manifests, context));
      await publishNames(plan.targets, manifests, context);
      await putReport(store, await makeReport(plan, manifests, store));
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

/** @returns whether there was anything to wait for */
async function passStages(
  plan: RunPlan,
  manifests: Map<string, Digest>,
  context: CoordinatorContext,
): Promise<boolean> {
  const { store } = context;
  let waited = await settle('signature', signatureJobs(plan), context);
  await readManifests(plan, manifests, store);
  const { scopes, pairings } = planPairings(plan, manifests);
  await putPairings(store, plan.id, scopes, pairings);
  waited = (await settle('pairing', pairingJobs(plan.id, pairings), context)) || waited;
  const pairs = await listPairs(store, plan.id);
  return (await settle('delta', deltaJobs(plan.id, pairs), context)) || waited;
}

/** Waits until all items of a stage are over. @returns false where they were at once */
async function settle(stage: Stage, jobs: readonly ItemJob[], context: CoordinatorContext): Promise<boolean> {
  const { store, signal } = context;
  if (jobs.length === 0) return false;
  const pace = createPace();
  let repaired = -Infinity;
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted();
    const over = await listOutcomes(store, jobs[0]!.run, stage);
    const left = jobs.filter(({ item }) => !over.has(item));
    if (left.length === 0) return waited;
    const delay = pace.next(left.length);
    if (performance.now() - Math.max(repaired, pace.changed) > REPAIR_AFTER || repaired === -Infinity) {
      await ensureQueued(stage, left, context);
      repaired = performance.now();
    }
    await sleep(delay, undefined, { signal });
  }
}
