import type { Digest } from '../lib/digest.ts';
import { PanamaxError } from '../lib/errors.ts';
import { scopeOf, type Candidate } from '../lib/pairing/ranking.ts';
import type { StageContext } from './context.ts';
import { loadPair, loadScope, putPair, type Pair, type Pairing, type Pairings } from '../lib/run/record.ts';
import { imagesOf, items, type RunRequest } from '../lib/run/request.ts';
import type { NamedImage } from '../lib/run/schemas.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { DeltaJob, ItemJob, PairingJob, SignatureJob, StageJob } from './jobs.ts';
import { choosePairs } from './pairing/choice.ts';
import { isLater } from './pairing/direction.ts';
import { deltaStage } from './delta/stage.ts';
import { pairingStage } from './pairing/stage.ts';
import { publishPair } from './publish/beside.ts';
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
    const { status, manifest } = await signatureStage({ reference, ...platformOf(request) }, context);
    return { status, outcome: { reference, manifest } };
  },

  async pairing({ run, target, scope, together }, request, context) {
    const images = await loadScope(context.store, run, scope);
    const referenceOf = new Map(images.map(({ manifest, reference }) => [manifest, reference]));
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
    const choice = await choosePairs(ranking, request, context.store, leadsOn);
    const jobs: DeltaJob[] = [];
    for (const candidate of choice.chosen) {
      const item = items.delta(target.manifest, candidate.source);
      await putPair(context.store, run, item, { target, sources: namesOf(candidate), candidate });
      jobs.push({ run, item });
    }
    const passedOver = choice.skippedCandidates.map((candidate) => ({
      sources: namesOf(candidate),
      candidate,
    }));
    return { status, outcome: { target, scope, passedOver }, next: { stage: 'delta', jobs } };
  },

  async delta({ run, item }, request, context) {
    const { sources, target, candidate }: Pair = await loadPair(context.store, run, item);
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

export function signatureJobs(request: RunRequest): SignatureJob[] {
  return imagesOf(request).map((reference) => ({
    run: request.id,
    item: items.signature(reference, request.platform),
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

/** The fields that name an item for people; part of the outcome of a failed item. */
export function subjectOf(job: ItemJob): object {
  const { run: _, item: __, ...subject } = job;
  return subject;
}

/**
 * The pairings of a run that are known so far: each target that has been read, within each set of sources that has been
 * read completely. Sets with the same images are one.
 *
 * @param images manifests by reference; undefined for images that could not be read, which are left out
 */
export function planPairings(
  request: RunRequest,
  images: ReadonlyMap<string, Digest | undefined>,
): Pairings & { readonly scopes: ReadonlyMap<string, readonly NamedImage[]> } {
  const named = (references: readonly string[]): NamedImage[] => {
    const found = new Map<Digest, NamedImage>();
    for (const reference of references) {
      const manifest = images.get(reference);
      if (manifest && !found.has(manifest)) found.set(manifest, { manifest, reference });
    }
    return [...found.values()];
  };
  const targets = named(request.targets);
  const scopes = new Map<string, NamedImage[]>();
  const pairings = new Map<string, Pairing>();
  for (const { images: members, sites, together: isTogether } of request.residents) {
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
  const isComplete = imagesOf(request).every((reference) => images.has(reference));
  return { scopes, pairings: [...pairings.values()], isComplete };
}
