import { PanamaxError } from '../lib/errors.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import {
  listOutcomes,
  loadPairs,
  nameSources,
  readOutcomes,
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
import { pairingJobs, planPairings, signatureJobs } from './flow.ts';

/** Adds what the images that have been read are called, by reference. */
export async function readManifests(
  plan: RunPlan,
  manifests: Map<string, Digest>,
  store: Store,
): Promise<void> {
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

/** What became of a run whose items are all over, by what its record says of each. */
export async function makeReport(
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
    pairs: inOrder(plan, deltas, pairs).map(([item, outcome]) => {
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

/** By target, as they were asked for, then the best first. */
function inOrder<Outcome>(
  { targets }: RunPlan,
  outcomes: ReadonlyMap<string, Outcome>,
  pairs: ReadonlyMap<string, Pair>,
): [string, Outcome][] {
  const place = new Map(targets.map((reference, i) => [reference, i]));
  const placeOf = (item: string) => place.get(pairs.get(item)!.target.reference) ?? 0;
  const sizeOf = (item: string) => pairs.get(item)!.candidate.predictedPatchSize;
  return [...outcomes].sort(([a], [b]) => placeOf(a) - placeOf(b) || sizeOf(a) - sizeOf(b));
}
