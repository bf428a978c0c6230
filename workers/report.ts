import { PanamaxError } from '../lib/errors.ts';
import { nameSources } from '../lib/run/record.ts';
import { readOutcomes, type OutcomeOf } from '../lib/run/outcome.ts';
import {
  addBytes,
  sumBytes,
  type ImageOutcome,
  type PairOutcome,
  type ReportPart,
  type SkippedCandidate,
} from '../lib/run/report.ts';
import { items } from '../lib/run/request.ts';
import type { Failure } from '../lib/run/schemas.ts';
import type { Stage, Status } from '../lib/run/stage.ts';
import { putReport } from '../lib/run/summary.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { SignatureJob } from './jobs.ts';
import type { RunPlan } from './runplan.ts';

/** Number of items whose documents are in memory at a time. */
const CHUNK = 500;

/** A pair of a ranking, before its outcome is read. */
interface Chosen {
  readonly item: string;
  readonly names: Pick<PairOutcome, 'target' | 'source' | 'candidate'>;
}

/**
 * Writes the report of a run whose items are all over, from the outcomes in its record: images in the order of the
 * request, then pairs by target, in that order, and by predicted size.
 */
export async function writeReport(plan: RunPlan, store: Store): Promise<void> {
  const { id, started } = plan.request;
  let bytes = sumBytes([]);

  async function* pieces(): AsyncGenerator<ReportPart, void, void> {
    for (const jobs of chunksOf(plan.jobs('signature', true), CHUNK)) {
      yield { images: await imageOutcomes(jobs), pairs: [], passedOver: [] };
    }
    for (const rankings of plan.rankingsByTarget(CHUNK)) {
      const { images, chosen, passedOver } = await rankingOutcomes(rankings);
      yield { images, pairs: [], passedOver };
      for (const some of chunksOf(chosen, CHUNK))
        yield { images: [], pairs: await pairOutcomes(some), passedOver: [] };
    }
  }

  async function imageOutcomes(jobs: readonly SignatureJob[]): Promise<ImageOutcome[]> {
    const ended = jobs.map((job) => ({ ...job, status: plan.statusOf('signature', job.item) }));
    const failed = ended.filter(({ status }) => status === 'failed').map(({ item }) => item);
    const failures = await read('signature', failed);
    return ended.map(({ item, reference, status }): ImageOutcome => {
      const manifest = plan.images.get(reference);
      if (!manifest) return { reference, status: 'failed', error: errorOf(failures.get(item)) };
      return { reference, status: status === 'done' ? 'done' : 'skipped', manifest };
    });
  }

  async function rankingOutcomes(rankings: readonly string[]) {
    const images: ImageOutcome[] = [];
    const chosen: Chosen[] = [];
    const passedOver: SkippedCandidate[] = [];
    for (const [ranking, outcome] of await read('pairing', rankings)) {
      const { reference: target, manifest } = outcome.target;
      if (outcome.status === 'failed') {
        images.push({ reference: target, status: 'failed', error: outcome.error });
        continue;
      }
      for (const { sources, candidate } of outcome.pairs) {
        const item = items.delta(manifest, candidate.source);
        const names = { target, source: nameSources({ sources }), candidate };
        if (plan.isFirstOf(ranking, item)) chosen.push({ item, names });
      }
      for (const { sources, ...passed } of outcome.passedOver)
        passedOver.push({ target, source: nameSources({ sources }), ...passed });
    }
    return { images, chosen: inOrder(chosen), passedOver };
  }

  async function pairOutcomes(chosen: readonly Chosen[]): Promise<PairOutcome[]> {
    const outcomes = await read(
      'delta',
      chosen.map(({ item }) => item),
    );
    const ended = chosen.flatMap(({ item, names }): PairOutcome[] => {
      const outcome = outcomes.get(item);
      if (!outcome) return [];
      const { status } = outcome;
      return [
        status === 'failed'
          ? { ...names, status, error: outcome.error }
          : { ...names, status, patches: outcome.patches },
      ];
    });
    const patches = ended.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches));
    bytes = addBytes(bytes, sumBytes(patches));
    return ended;
  }

  async function read<S extends Stage>(
    stage: S,
    wanted: readonly string[],
  ): Promise<Map<string, OutcomeOf<S>>> {
    const known = new Map<string, Status>();
    for (const item of wanted) {
      const status = plan.statusOf(stage, item);
      if (status) known.set(item, status);
    }
    return readOutcomes(store, id, stage, known);
  }

  await putReport(store, id, pieces(), () => ({
    id,
    started,
    finished: new Date().toISOString(),
    stages: {
      signature: plan.counts('signature'),
      pairing: plan.counts('pairing'),
      delta: plan.counts('delta'),
    },
    bytes,
  }));
}

function errorOf(outcome: OutcomeOf<'signature'> | undefined): Failure {
  if (outcome?.status === 'failed') return outcome.error;
  const { kind, message } = new PanamaxError('internal', 'the outcome is not there');
  return { kind, message };
}

/** Sorts the pairs of each target by predicted size; targets keep their order. */
function inOrder(chosen: readonly Chosen[]): Chosen[] {
  const places = new Map<string, number>();
  for (const { names } of chosen) if (!places.has(names.target)) places.set(names.target, places.size);
  const placeOf = ({ names }: Chosen) => places.get(names.target)!;
  const sizeOf = ({ names }: Chosen) => names.candidate.predictedPatchSize;
  return chosen.toSorted((a, b) => placeOf(a) - placeOf(b) || sizeOf(a) - sizeOf(b));
}

/** Lists of at most `size` items. */
export function* chunksOf<Item>(list: Iterable<Item>, size: number): Generator<readonly Item[], void, void> {
  let chunk: Item[] = [];
  for (const item of list) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
