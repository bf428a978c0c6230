import { PanamaxError } from '../lib/errors.ts';
import type { Candidate } from '../lib/pairing/ranking.ts';
import type { StageContext } from './context.ts';
import { loadPair, type Pair } from '../lib/run/record.ts';
import { items, type RunRequest } from '../lib/run/request.ts';
import type { NamedImage } from '../lib/run/schemas.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { DeltaJob, ItemJob, PairingJob, StageJob } from './jobs.ts';
import { choosePairs } from './pairing/choice.ts';
import { isLater } from './pairing/direction.ts';
import { deltaStage } from './delta/stage.ts';
import { pairingStage } from './pairing/stage.ts';
import { publishPair } from './publish/beside.ts';
import { imagesOfScope } from './scopes.ts';
import { signatureStage } from './signature/stage.ts';

/**
 * The stage graph:
 *
 *     enqueue ─► signature ─► (all of a set are over) ─► pairing ────────► delta ─► (all are over) ─► report
 *                one per      the coordinator adds its     one per target    one per
 *                reference    rankings                     and set, chooses  pair
 *                                                          the pairs
 *
 * Both drivers run these handlers through `runItem` (item.ts): the embedded one (producers/backfill.ts) stage after
 * stage, the queue's (dispatch.ts) as jobs arrive. Jobs carry names and digests only; the rest is in the run's record.
 * Every handler may run twice, anywhere, at any time.
 */

export type { ItemJob, PairingJob, StageJob };

/** Result of a handler: fields of the outcome beside its status, and the jobs of the next stage that follow. */
export interface StageResult {
  readonly status: 'done' | 'skipped';
  readonly outcome: object;
  readonly next?: { readonly stage: Stage; readonly jobs: readonly ItemJob[] };
}

export type StageHandlers = {
  readonly [S in Stage]: (
    job: StageJob[S],
    request: RunRequest,
    context: StageContext,
  ) => Promise<StageResult>;
};

export const FLOW: StageHandlers = {
  async signature({ reference }, request, context) {
    await context.checkReference?.(reference);
    const { status, manifest, size } = await signatureStage({ reference, ...platformOf(request) }, context);
    return { status, outcome: { reference, manifest, size } };
  },

  async pairing({ run, item, target, scope, together }, request, context) {
    const { images, referenceOf } = await imagesOfScope(request, scope, context.store);
    const sources = [...referenceOf.keys()];
    const rank = () =>
      pairingStage({ target: target.manifest, sources, ...(together && { combineSources: true }) }, context);
    const { status, ...ranking } = await rank().catch(async (error: unknown) => {
      if (!(error instanceof PanamaxError) || error.kind !== 'bad-input') throw error;
      // A signature from before the run was not verified, and is damaged: make all of them again.
      for (const { reference } of [target, ...images]) {
        await context.checkReference?.(reference);
        await signatureStage({ reference, ...platformOf(request) }, context);
      }
      return rank();
    });
    const namesOf = ({ source, images = [source] }: Candidate): NamedImage[] =>
      images.map((manifest) => ({ manifest, reference: referenceOf.get(manifest)! }));
    const leadsOn = (candidate: Candidate) =>
      !request.forward ||
      !namesOf(candidate).some(({ reference }) => isLater(reference, target.reference, candidate.newerBy));
    const choice = await choosePairs(ranking, request, context.store, together, leadsOn);
    const named = (candidate: Candidate) => ({ sources: namesOf(candidate), candidate });
    const pairs = choice.chosen.map(named);
    const passedOver = choice.skippedCandidates.map(({ candidate, reason }) => ({
      ...named(candidate),
      reason,
    }));
    const jobs = choice.chosen.map(({ source }): DeltaJob => ({
      run,
      item: items.delta(target.manifest, source),
      ranking: item,
    }));
    return { status, outcome: { target, scope, pairs, passedOver }, next: { stage: 'delta', jobs } };
  },

  async delta({ run, item, ranking }, request, context) {
    const { sources, target, candidate }: Pair = await loadPair(context.store, run, ranking, item);
    for (const { reference } of [target, ...sources]) await context.checkReference?.(reference);
    const { formats, effort } = request;
    const { status, patches } = await deltaStage(
      {
        sources: sources.map((source) => ({ ...source, ...platformOf(request) })),
        target: { ...target, ...platformOf(request) },
        formats,
        effort,
        predictedPatchSize: candidate.predictedPatchSize,
      },
      context,
    );
    if (request.publish) {
      await publishPair(
        target,
        patches.map(({ descriptor }) => descriptor),
        context,
      );
    }
    return { status, outcome: { patches } };
  },
};

function platformOf({ platform }: RunRequest): Pick<RunRequest, 'platform'> {
  return platform ? { platform } : {};
}

/** The fields that name an item for people; part of the outcome of a failed item. */
export function subjectOf(job: ItemJob): object {
  const { run: _, item: __, ...subject } = job;
  return subject;
}
