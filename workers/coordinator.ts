import { setTimeout as sleep } from 'node:timers/promises';
import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import type { Queues } from '../lib/queue/queues.ts';
import type { Log } from '../lib/run/context.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import { createPace } from '../lib/run/pace.ts';
import {
  listOutcomes,
  listPairs,
  loadPairs,
  loadPlan,
  putPairings,
  putReport,
  readOutcomes,
  nameSources,
  type Pair,
  type Pairing,
  type Status,
} from '../lib/run/record.ts';
import {
  countStatuses,
  type Failed,
  type ImageOutcome,
  type PairOutcome,
  type PassedOver,
  type RunReport,
} from '../lib/run/report.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/store.ts';
import type { Sign } from '../lib/trust/key.ts';
import { publishNames } from './name.ts';
import { deltaJobs, pairingJobs, planPairings, signatureJobs, type ItemJob } from './flow.ts';
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

/** Adds what the images that have been read are called, by reference. */
async function readManifests(plan: RunPlan, manifests: Map<string, Digest>, store: Store): Promise<void> {
  const over = await listOutcomes(store, plan.id, 'signature');
  const known = new Set(manifests.keys());
  const unread = signatureJobs(plan)
    .filter(({ reference }) => !known.has(reference))
    .flatMap(({ item }) => {
      const status = over.get(item);
      return status && status !== 'failed' ? [[item, status] as const] : [];
    });
  type Read = { readonly reference: string; readonly manifest: Digest };
  const read = await readOutcomes<Read>(store, plan.id, 'signature', new Map(unread));
  for (const { reference, manifest } of read.values()) manifests.set(reference, manifest);
}

async function makeReport(
  plan: RunPlan,
  manifests: ReadonlyMap<string, Digest>,
  store: Store,
): Promise<RunReport> {
  const { id, started } = plan;
  const outcomes = async <Outcome>(stage: Stage, which: (status: Status) => boolean) => {
    const over = [...(await listOutcomes(store, id, stage))].filter(([, status]) => which(status));
    return readOutcomes<Outcome>(store, id, stage, new Map(over));
  };
  const signatures = await listOutcomes(store, id, 'signature');
  const failedImages = await outcomes<Failed>('signature', (status) => status === 'failed');
  const images = signatureJobs(plan).map(({ item, reference }): ImageOutcome => {
    const failure = failedImages.get(item);
    const manifest = manifests.get(reference);
    if (!manifest) return { reference, status: 'failed', error: failure?.error ?? noReason() };
    return { reference, status: signatures.get(item) === 'done' ? 'done' : 'skipped', manifest };
  });
  const { pairings } = planPairings(plan, manifests);
  const ranked = await listOutcomes(store, id, 'pairing');
  const rankings = new Map(
    pairingJobs(id, pairings).map(({ item }) => [item, ranked.get(item) ?? 'failed'] as const),
  );
  const unranked = new Map([...rankings].filter(([, status]) => status === 'failed'));
  type Ranked = Pairing & { passedOver?: Omit<Pair, 'target'>[] };
  const sound = new Map([...ranked].filter(([, status]) => status !== 'failed'));
  const passedOver = [...(await readOutcomes<Ranked>(store, id, 'pairing', sound)).values()].flatMap(
    ({ target, passedOver = [] }) =>
      passedOver.map(({ sources, candidate }): PassedOver => ({
        target: target.reference,
        source: nameSources({ sources }),
        candidate,
      })),
  );
  const failedRankings = [
    ...(await readOutcomes<Failed & Pairing>(store, id, 'pairing', unranked)).values(),
  ].map(({ target, error }): ImageOutcome => ({ reference: target.reference, status: 'failed', error }));
  const deltas = await outcomes<PairOutcome>('delta', () => true);
  const pairs = await loadPairs(store, id, [...deltas.keys()]);
  return {
    id,
    started,
    finished: new Date().toISOString(),
    images: [...images, ...failedRankings],
    rankings: countStatuses(rankings.values()),
    pairs: [...deltas].map(([item, outcome]) => {
      const { target, sources, candidate } = pairs.get(item)!;
      const names = { target: target.reference, source: nameSources({ sources }), candidate };
      return outcome.status === 'failed'
        ? { ...names, status: outcome.status, error: outcome.error }
        : { ...names, status: outcome.status, patches: outcome.patches };
    }),
    passedOver,
  };
}

function noReason(): Failed['error'] {
  const { kind, message } = new PanamaxError('internal', 'the outcome is not there');
  return { kind, message };
}
