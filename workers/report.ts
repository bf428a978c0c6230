import type { Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { RunPlan } from '../lib/run/plan.ts';
import {
  listOutcomes,
  loadPairs,
  nameSources,
  readOutcomes,
  type Pair,
  type Pairing,
} from '../lib/run/record.ts';
import {
  countStatuses,
  addBytes,
  sumBytes,
  type Failed,
  type ImageOutcome,
  type PairOutcome,
  type PassedOver,
  type ReportPart,
} from '../lib/run/report.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import { putReport } from '../lib/run/summary.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { pairingJobs, planPairings, signatureJobs } from './flow.ts';

/** Items whose documents are in memory at a time. */
const CHUNK = 500;

/** What is known of a run's images, by reference: their manifests; undefined for those that cannot be read. */
export type ReadImages = Map<string, Digest | undefined>;

/** Adds what has become known, and drops what is tried again. @returns whether anything has changed */
export async function readImages(plan: RunPlan, images: ReadImages, store: Store): Promise<boolean> {
  const over = await listOutcomes(store, plan.id, 'signature');
  const news = new Map<string, Status>();
  let isChanged = false;
  for (const { item, reference } of signatureJobs(plan)) {
    const status = over.get(item);
    if (status === undefined) isChanged = images.delete(reference) || isChanged;
    else if (status !== 'failed') {
      if (images.get(reference) === undefined) news.set(item, status);
    } else if (!images.has(reference) || images.get(reference) !== undefined) {
      images.set(reference, undefined);
      isChanged = true;
    }
  }
  type Read = { readonly reference: string; readonly manifest: Digest };
  const read = await readOutcomes<Read>(store, plan.id, 'signature', news);
  for (const { reference, manifest } of read.values()) images.set(reference, manifest);
  return isChanged || read.size > 0;
}

/** Writes what became of a run whose items are all over, by what its record says of each. */
export async function writeReport(
  plan: RunPlan,
  images: ReadonlyMap<string, Digest | undefined>,
  store: Store,
): Promise<void> {
  const { id, started } = plan;
  const signatures = await listOutcomes(store, id, 'signature');
  const ranked = await listOutcomes(store, id, 'pairing');
  const deltas = await listOutcomes(store, id, 'delta');
  const rankings = pairingJobs(id, planPairings(plan, images).pairings).map(({ item }) => item);
  const statuses = { signature: [] as Status[], delta: [] as Status[] };
  let bytes = sumBytes([]);

  async function* pieces(): AsyncGenerator<ReportPart, void, void> {
    for (const jobs of chunksOf(signatureJobs(plan))) {
      const failed = jobs.filter(({ item }) => signatures.get(item) === 'failed').map(({ item }) => item);
      const failures = await read<Failed>('signature', failed, signatures);
      const outcomes = jobs.map(({ item, reference }): ImageOutcome => {
        const manifest = images.get(reference);
        if (!manifest) return { reference, status: 'failed', error: failures.get(item)?.error ?? noReason() };
        return { reference, status: signatures.get(item) === 'done' ? 'done' : 'skipped', manifest };
      });
      statuses.signature.push(...outcomes.map(({ status }) => status));
      yield { images: outcomes, pairs: [], passedOver: [] };
    }
    for (const chunk of chunksOf(rankings)) {
      type Ranked = Pairing & { passedOver?: Omit<Pair, 'target'>[]; error?: Failed['error'] };
      const outcomes = [...(await read<Ranked>('pairing', chunk, ranked)).values()];
      yield {
        images: outcomes.flatMap(({ target: { reference }, error }): ImageOutcome[] =>
          error ? [{ reference, status: 'failed', error }] : [],
        ),
        pairs: [],
        passedOver: outcomes.flatMap(({ target, passedOver = [] }) =>
          passedOver.map(({ sources, candidate }): PassedOver => ({
            target: target.reference,
            source: nameSources({ sources }),
            candidate,
          })),
        ),
      };
    }
    for (const chunk of chunksOf(await inOrder(plan, [...deltas.keys()], store))) {
      const outcomes = await read<PairOutcome>('delta', chunk, deltas);
      const pairs = await loadPairs(store, id, [...outcomes.keys()]);
      const ended = [...outcomes].map(([item, outcome]) => outcomeOf(pairs.get(item)!, outcome));
      const patches = ended.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches));
      bytes = addBytes(bytes, sumBytes(patches));
      statuses.delta.push(...ended.map(({ status }) => status));
      yield { images: [], pairs: ended, passedOver: [] };
    }
  }

  async function read<Outcome>(stage: Stage, wanted: readonly string[], over: ReadonlyMap<string, Status>) {
    const known = wanted.flatMap((item) => (over.has(item) ? [[item, over.get(item)!] as const] : []));
    return readOutcomes<Outcome>(store, id, stage, new Map(known));
  }

  await putReport(store, id, pieces(), () => ({
    id,
    started,
    finished: new Date().toISOString(),
    stages: {
      signature: countStatuses(statuses.signature),
      pairing: countStatuses(rankings.map((item) => ranked.get(item) ?? 'failed')),
      delta: countStatuses(statuses.delta),
    },
    bytes,
  }));
}

function outcomeOf({ target, sources, candidate }: Pair, outcome: PairOutcome): PairOutcome {
  const names = { target: target.reference, source: nameSources({ sources }), candidate };
  return outcome.status === 'failed'
    ? { ...names, status: outcome.status, error: outcome.error }
    : { ...names, status: outcome.status, patches: outcome.patches };
}

function noReason(): Failed['error'] {
  const { kind, message } = new PanamaxError('internal', 'the outcome is not there');
  return { kind, message };
}

/** By target, as they were asked for, then the best first. */
async function inOrder(
  { id, targets }: RunPlan,
  pairs: readonly string[],
  store: Store,
): Promise<readonly string[]> {
  const place = new Map(targets.map((reference, i) => [reference, i]));
  const known: { readonly item: string; readonly place: number; readonly size: number }[] = [];
  for (const chunk of chunksOf(pairs)) {
    for (const [item, { target, candidate }] of await loadPairs(store, id, chunk)) {
      known.push({
        item,
        place: place.get(target.reference) ?? 0,
        size: candidate.predictedPatchSize,
      });
    }
  }
  return known.sort((a, b) => a.place - b.place || a.size - b.size).map(({ item }) => item);
}

function* chunksOf<Item>(list: readonly Item[]): Generator<readonly Item[], void, void> {
  for (let at = 0; at < list.length; at += CHUNK) yield list.slice(at, at + CHUNK);
}
