import type { Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import { scopeOf, type Candidate } from '../lib/pairing/ranking.ts';
import type { StageContext } from './context.ts';
import { imagesOf, items, type RunPlan } from '../lib/run/plan.ts';
import {
  loadPair,
  loadScope,
  putPair,
  type ImageName,
  type Pair,
  type Pairing,
  type Pairings,
} from '../lib/run/record.ts';
import type { Stage } from '../lib/run/stage.ts';
import { choosePairs } from './pairing/choice.ts';
import { deltaStage } from './delta/stage.ts';
import { pairingStage } from './pairing/stage.ts';
import { publishPair } from './publish/beside.ts';
import { signatureStage } from './signature/stage.ts';

/**
 * The stages of a run on the queue, and what follows what:
 *
 *     enqueue ─► signature ─► (all of a set are over) ─► pairing ────────► delta ─► (all are over) ─► report
 *                one per      the coordinator adds its     one per target    one per
 *                reference    rankings                     and set, chooses  pair
 *                                                          the pairs
 *
 * The handlers are those of the embedded driver (producers/backfill.ts). Jobs carry names and digests; what else they
 * need is in the run's record in the store. Each may be done twice, by anybody, at any time.
 */

export interface SignatureJob {
  readonly run: string;
  readonly item: string;
  readonly reference: string;
}

export interface PairingJob extends Pairing {
  readonly run: string;
  readonly item: string;
}

export interface DeltaJob {
  readonly run: string;
  readonly item: string;
}

export type StageJob = { signature: SignatureJob; pairing: PairingJob; delta: DeltaJob };
export type ItemJob = StageJob[Stage];

/** What an item's outcome says beside its status, and the jobs of the next stage that it gives rise to. */
export interface StageResult {
  readonly status: 'done' | 'skipped';
  readonly outcome: object;
  readonly next?: { readonly stage: Stage; readonly jobs: readonly ItemJob[] };
}

export type StageHandlers = {
  readonly [S in Stage]: (job: StageJob[S], plan: RunPlan, context: StageContext) => Promise<StageResult>;
};

export const FLOW: StageHandlers = {
  async signature({ reference }, plan, context) {
    const { status, manifest } = await signatureStage({ reference, ...platformOf(plan) }, context);
    return { status, outcome: { reference, manifest } };
  },

  async pairing({ run, target, scope, together }, plan, context) {
    const images = await loadScope(context.store, run, scope);
    const referenceOf = new Map(images.map(({ manifest, reference }) => [manifest, reference]));
    const sources = [...referenceOf.keys()];
    const rank = () =>
      pairingStage({ target: target.manifest, sources, ...(together && { together }) }, context);
    const { status, ...ranking } = await rank().catch(async (error: unknown) => {
      if (!(error instanceof PanamaxError) || error.kind !== 'bad-input') throw error;
      // a signature that was there before the run was taken on trust, and is damaged
      for (const { reference } of [target, ...images]) {
        await signatureStage({ reference, ...platformOf(plan) }, context);
      }
      return rank();
    });
    const choice = await choosePairs(ranking, plan, context.store);
    const jobs: DeltaJob[] = [];
    const namesOf = ({ source, images = [source] }: Candidate): ImageName[] =>
      images.map((manifest) => ({ manifest, reference: referenceOf.get(manifest)! }));
    for (const candidate of choice.chosen) {
      const item = items.delta(target.manifest, candidate.source);
      await putPair(context.store, run, item, { target, sources: namesOf(candidate), candidate });
      jobs.push({ run, item });
    }
    const passedOver = choice.passedOver.map((candidate) => ({ sources: namesOf(candidate), candidate }));
    return { status, outcome: { target, scope, passedOver }, next: { stage: 'delta', jobs } };
  },

  async delta({ run, item }, plan, context) {
    const { sources, target, candidate }: Pair = await loadPair(context.store, run, item);
    const { formats, effort } = plan;
    const { status, patches } = await deltaStage(
      {
        sources: sources.map((source) => ({ ...source, ...platformOf(plan) })),
        target: { ...target, ...platformOf(plan) },
        formats,
        effort,
        predictedPatchSize: candidate.predictedPatchSize,
      },
      context,
    );
    if (plan.publish) {
      await publishPair(
        target,
        patches.map(({ descriptor }) => descriptor),
        context,
      );
    }
    return { status, outcome: { patches } };
  },
};

function platformOf({ platform }: RunPlan): Pick<RunPlan, 'platform'> {
  return platform ? { platform } : {};
}

export function signatureJobs(plan: RunPlan): SignatureJob[] {
  return imagesOf(plan).map((reference) => ({
    run: plan.id,
    item: items.signature(reference, plan.platform),
    reference,
  }));
}

export function pairingJobs(run: string, pairings: readonly Pairing[]): PairingJob[] {
  return pairings.map((pairing) => ({
    run,
    item: items.pairing(pairing.target.manifest, pairing.scope),
    ...pairing,
  }));
}

export function deltaJobs(run: string, pairs: readonly string[]): DeltaJob[] {
  return pairs.map((item) => ({ run, item }));
}

/** What tells items of a stage apart for people: goes into the outcome of one that failed. */
export function subjectOf(job: ItemJob): object {
  const { run: _, item: __, ...subject } = job;
  return subject;
}

/**
 * The pairings of a run, as far as it is known which image each reference is: each target that has been read within
 * each set of sources that has been read whole, one for sets that turn out to be the same.
 *
 * @param images by reference; undefined for those that could not be read, which are left out
 */
export function planPairings(
  plan: RunPlan,
  images: ReadonlyMap<string, Digest | undefined>,
): Pairings & { readonly scopes: ReadonlyMap<string, readonly ImageName[]> } {
  const named = (references: readonly string[]): ImageName[] => {
    const found = new Map<Digest, ImageName>();
    for (const reference of references) {
      const manifest = images.get(reference);
      if (manifest && !found.has(manifest)) found.set(manifest, { manifest, reference });
    }
    return [...found.values()];
  };
  const targets = named(plan.targets);
  const scopes = new Map<string, ImageName[]>();
  const pairings = new Map<string, Pairing>();
  for (const { images: members, sites, together: isTogether } of plan.residents) {
    if (!members.every((reference) => images.has(reference))) continue;
    const sources = named(members);
    const held = new Set(sources.map(({ manifest }) => manifest));
    const together = (isTogether === true || sites !== undefined) && held.size > 1;
    const scope = scopeOf([...held], together);
    for (const target of targets) {
      const isHeld = held.has(target.manifest);
      if (held.size === (isHeld ? 1 : 0) || (sites && isHeld)) continue;
      scopes.set(scope, sources);
      pairings.set(items.pairing(target.manifest, scope), { target, scope, ...(together && { together }) });
    }
  }
  const isComplete = imagesOf(plan).every((reference) => images.has(reference));
  return { scopes, pairings: [...pairings.values()], isComplete };
}
