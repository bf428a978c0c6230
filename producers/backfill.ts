import { PanamaxError, toPanamaxError } from '../lib/errors.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import type { Candidate } from '../lib/pairing/ranking.ts';
import type { StageContext } from '../lib/run/context.ts';
import { newRunId, type RunPlan } from '../lib/run/plan.ts';
import { runPool } from '../lib/run/pool.ts';
import { putPlan, putReport } from '../lib/run/record.ts';
import {
  countStatuses,
  type Failed,
  type ImageOutcome,
  type PairOutcome,
  type PassedOver,
  type RunReport,
} from '../lib/run/report.ts';
import type { Stage } from '../lib/run/stage.ts';
import { choosePairs } from '../workers/choice.ts';
import { deltaStage } from '../workers/delta.ts';
import { publishNames } from '../workers/name.ts';
import { pairingStage } from '../workers/pairing.ts';
import { signatureStage } from '../workers/signature.ts';

export interface BackfillPlan extends Omit<RunPlan, 'id' | 'started' | 'residents'> {
  /** References of the images that sites have. */
  readonly sources: readonly string[];
  /** Whether each site has all of them: several may be one source. */
  readonly together?: true;
  readonly concurrency: number;
}

/** Told when work is known and when an item of it is over. */
export type OnProgress = (stage: Stage, progress: { total: number; item?: string; status?: string }) => void;

/**
 * The whole job in this process: signatures of all images, a ranking for each target, patches from its best
 * sources. An item that fails is reported and holds up only what needs it. The store alone decides what is left
 * to do, so a second start continues where the first one stopped.
 *
 * @throws PanamaxError `interrupted` after an abort, when everything begun has been put away
 */
export async function backfill(
  plan: BackfillPlan,
  context: StageContext,
  onProgress: OnProgress = () => {},
): Promise<RunReport> {
  const { signal, store } = context;
  const started = new Date();
  const id = newRunId(started);
  const { sources: residents, together, concurrency, ...question } = plan;
  const asked = {
    id,
    started: started.toISOString(),
    ...question,
    residents: [{ images: residents, ...(together && { together }) }],
  };
  await putPlan(store, asked);

  async function stage<Item, Result extends { status: string }>(
    name: Stage,
    items: readonly Item[],
    label: (item: Item) => string,
    task: (item: Item) => Promise<Result>,
  ): Promise<(Result | Failed)[]> {
    onProgress(name, { total: items.length });
    const run = async (item: Item): Promise<Result | Failed> => {
      const outcome = await task(item).catch(failed);
      onProgress(name, { total: items.length, item: label(item), status: outcome.status });
      return outcome;
    };
    const settled = await runPool(items, concurrency, run, signal);
    if (signal.aborted) throw interrupted(signal);
    return settled.map((result) => (result.status === 'fulfilled' ? result.value : failed(result.reason)));
  }

  const references = [...new Set([...plan.targets, ...plan.sources])];
  const platform = plan.platform ? { platform: plan.platform } : {};
  const signatures = await stage(
    'signature',
    references,
    (reference) => reference,
    (reference) => signatureStage({ reference, ...platform }, context),
  );
  const images: ImageOutcome[] = references.map((reference, i) => ({ reference, ...signatures[i]! }));
  const manifests = new Map(
    images.flatMap((image) =>
      image.status === 'failed' ? [] : [[image.reference, image.manifest] as const],
    ),
  );
  const referenceOf = new Map([...manifests].reverse().map(([reference, manifest]) => [manifest, reference]));
  const readable = (list: readonly string[]) => [...new Set(list.flatMap((r) => manifests.get(r) ?? []))];

  const targets = readable(plan.targets);
  const sources = readable(plan.sources);
  const rankings = await stage(
    'pairing',
    targets,
    (target) => referenceOf.get(target)!,
    async (target) => {
      const ranking = await pairingStage({ target, sources, ...(together && { together }) }, context);
      return { ...ranking, choice: await choosePairs(ranking, plan, store) };
    },
  );

  const nameOf = (candidate: Candidate) =>
    partsOf(candidate)
      .map((manifest) => referenceOf.get(manifest)!)
      .join(' + ');
  const failedRankings: ImageOutcome[] = [];
  const pairs: { target: Digest; candidate: Candidate }[] = [];
  const passedOver: PassedOver[] = [];
  for (const [i, ranking] of rankings.entries()) {
    const target = targets[i]!;
    if (ranking.status === 'failed') failedRankings.push({ reference: referenceOf.get(target)!, ...ranking });
    else {
      const choice = ranking.choice;
      pairs.push(...choice.chosen.map((candidate) => ({ target, candidate })));
      for (const candidate of choice.passedOver) {
        passedOver.push({ target: referenceOf.get(target)!, source: nameOf(candidate), candidate });
      }
    }
  }
  const image = (manifest: Digest) => ({ manifest, reference: referenceOf.get(manifest)!, ...platform });
  const deltas = await stage(
    'delta',
    pairs,
    ({ target, candidate }) => `${referenceOf.get(target)!} from ${nameOf(candidate)}`,
    ({ target, candidate }) =>
      deltaStage(
        {
          sources: partsOf(candidate).map(image),
          target: image(target),
          formats: plan.formats,
          effort: plan.effort,
          predictedPatchSize: candidate.predictedPatchSize,
        },
        context,
      ),
  );
  const outcomes: PairOutcome[] = pairs.map(({ target, candidate }, i) => ({
    target: referenceOf.get(target)!,
    source: nameOf(candidate),
    candidate,
    ...deltas[i]!,
  }));
  await publishNames(plan.targets, manifests, context);
  const report: RunReport = {
    id,
    started: started.toISOString(),
    finished: new Date().toISOString(),
    images: [...images, ...failedRankings],
    rankings: countStatuses(rankings.map(({ status }) => status)),
    pairs: outcomes,
    passedOver,
  };
  await putReport(store, report);
  return report;
}

function partsOf({ source, images = [source] }: Candidate): readonly Digest[] {
  return images;
}

function failed(reason: unknown): Failed {
  const { kind, message } = toPanamaxError(reason);
  return { status: 'failed', error: { kind, message } };
}

function interrupted(signal: AbortSignal): PanamaxError {
  return new PanamaxError('interrupted', 'stopped; start again to continue', {}, { cause: signal.reason });
}
