import type { Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { RunRequest } from '../lib/run/request.ts';
import { loadPairs, nameSources, type Pair } from '../lib/run/record.ts';
import { listOutcomes, readOutcomes, type OutcomeOf } from '../lib/run/outcome.ts';
import {
  countStatuses,
  addBytes,
  sumBytes,
  type ImageOutcome,
  type PairOutcome,
  type SkippedCandidate,
  type ReportPart,
} from '../lib/run/report.ts';
import type { Failure } from '../lib/run/schemas.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import { putReport } from '../lib/run/summary.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { pairingJobs, planPairings, signatureJobs } from './flow.ts';

/** Number of items whose documents are in memory at a time. */
const CHUNK = 500;

/** Manifests of a run's images that are over, by reference; undefined for those that could not be read. */
export type ReadImages = Map<string, Digest | undefined>;

/** Updates `images` from the outcomes in the store; items that are tried again are removed. @returns whether it changed */
export async function readImages(request: RunRequest, images: ReadImages, store: Store): Promise<boolean> {
  const over = await listOutcomes(store, request.id, 'signature');
  const unread = new Map<string, Status>();
  let isChanged = false;
  for (const { item, reference } of signatureJobs(request)) {
    const status = over.get(item);
    if (status === undefined) isChanged = images.delete(reference) || isChanged;
    else if (status !== 'failed') {
      if (images.get(reference) === undefined) unread.set(item, status);
    } else if (!images.has(reference) || images.get(reference) !== undefined) {
      images.set(reference, undefined);
      isChanged = true;
    }
  }
  const read = await readOutcomes(store, request.id, 'signature', unread);
  for (const outcome of read.values()) {
    if (outcome.status !== 'failed') images.set(outcome.reference, outcome.manifest);
  }
  return isChanged || read.size > 0;
}

/** Writes the report of a run whose items are all over, from the outcomes in its record. */
export async function writeReport(
  request: RunRequest,
  images: ReadonlyMap<string, Digest | undefined>,
  store: Store,
): Promise<void> {
  const { id, started } = request;
  const signatures = await listOutcomes(store, id, 'signature');
  const ranked = await listOutcomes(store, id, 'pairing');
  const deltas = await listOutcomes(store, id, 'delta');
  const rankings = pairingJobs(id, planPairings(request, images).pairings).map(({ item }) => item);
  const statuses = { signature: [] as Status[], delta: [] as Status[] };
  let bytes = sumBytes([]);

  async function* pieces(): AsyncGenerator<ReportPart, void, void> {
    for (const jobs of chunksOf(signatureJobs(request))) {
      const failed = jobs.filter(({ item }) => signatures.get(item) === 'failed').map(({ item }) => item);
      const failures = await read('signature', failed, signatures);
      const outcomes = jobs.map(({ item, reference }): ImageOutcome => {
        const manifest = images.get(reference);
        if (!manifest) return { reference, status: 'failed', error: errorOf(failures.get(item)) };
        return { reference, status: signatures.get(item) === 'done' ? 'done' : 'skipped', manifest };
      });
      statuses.signature.push(...outcomes.map(({ status }) => status));
      yield { images: outcomes, pairs: [], passedOver: [] };
    }
    for (const chunk of chunksOf(rankings)) {
      const failures: ImageOutcome[] = [];
      const skippedCandidates: SkippedCandidate[] = [];
      for (const outcome of (await read('pairing', chunk, ranked)).values()) {
        const { reference } = outcome.target;
        if (outcome.status === 'failed') failures.push({ reference, status: 'failed', error: outcome.error });
        else {
          for (const { sources, candidate } of outcome.passedOver)
            skippedCandidates.push({ target: reference, source: nameSources({ sources }), candidate });
        }
      }
      yield { images: failures, pairs: [], passedOver: skippedCandidates };
    }
    for (const chunk of chunksOf(await inOrder(request, [...deltas.keys()], store))) {
      const outcomes = await read('delta', chunk, deltas);
      const pairs = await loadPairs(store, id, [...outcomes.keys()]);
      const ended = [...outcomes].map(([item, outcome]) => outcomeOf(pairs.get(item)!, outcome));
      const patches = ended.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches));
      bytes = addBytes(bytes, sumBytes(patches));
      statuses.delta.push(...ended.map(({ status }) => status));
      yield { images: [], pairs: ended, passedOver: [] };
    }
  }

  async function read<S extends Stage>(
    stage: S,
    wanted: readonly string[],
    over: ReadonlyMap<string, Status>,
  ): Promise<Map<string, OutcomeOf<S>>> {
    const known = wanted.flatMap((item) => (over.has(item) ? [[item, over.get(item)!] as const] : []));
    return readOutcomes(store, id, stage, new Map(known));
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

function outcomeOf({ target, sources, candidate }: Pair, outcome: OutcomeOf<'delta'>): PairOutcome {
  const names = { target: target.reference, source: nameSources({ sources }), candidate };
  return outcome.status === 'failed'
    ? { ...names, status: outcome.status, error: outcome.error }
    : { ...names, status: outcome.status, patches: outcome.patches };
}

function errorOf(outcome: OutcomeOf<'signature'> | undefined): Failure {
  if (outcome?.status === 'failed') return outcome.error;
  const { kind, message } = new PanamaxError('internal', 'the outcome is not there');
  return { kind, message };
}

/** Sorts pairs by target, in the order of the request, then by predicted size. */
async function inOrder(
  { id, targets }: RunRequest,
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
