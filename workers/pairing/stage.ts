import type { Digest } from '../../lib/digest.ts';
import {
  parseRanking,
  rankCandidates,
  scopeOf,
  serializeRanking,
  type Candidate,
  type Ranking,
} from '../../lib/pairing/ranking.ts';
import { PanamaxError } from '../../lib/errors.ts';
import type { Outcome, StageContext } from '../context.ts';
import { JOB_MEMORY } from '../resources/memory.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadCalibrations } from './calibration.ts';
import { coveredBytes, lesserCosts, type ContentCosts } from '../../lib/pairing/cover.ts';
import { createComparisons, type Comparisons } from './comparisons.ts';
import { mostSimilar } from './similar.ts';

export interface PairingInput {
  readonly target: Digest;
  /** The images allowed as sources; the target itself is passed over. */
  readonly sources: readonly Digest[];
  /** Whether sites have all of the sources, so that several may be one. */
  readonly together?: boolean;
}

/** Of more sources than this only those are compared that the similarity index holds for nearest. */
export const MOST_COMPARED = 64;

/** Images that are one source, at most. */
const MOST_TOGETHER = 3;
/** Images that are tried beside the best: those that are expected to help it most. */
const MOST_TRIED = 3;
/** What another image has to bring a prediction down to, at most, to be worth its place in a source. */
const GAIN = 0.9;
/** Of that, what an image has to be expected to gain to be tried: headers, and files that each has a part of, are not counted. */
const CREDIT = 0.5;

/**
 * Ranks the sources for a target and stores the ranking.
 *
 * @param known what the target has been compared with already, where more than one ranking of it is made
 */
export async function pairingStage(
  input: PairingInput,
  context: StageContext,
  known?: Comparisons,
): Promise<Outcome<Ranking>> {
  const { store, signal } = context;
  const key = keys.pairing(input.target, scopeOf(input.sources, input.together));
  const comparisons = known ?? createComparisons(store, input.target, await loadCalibrations(store));
  const { calibrations } = comparisons;
  const stored = await findRanking(input, key, store, calibrations);
  if (stored) return { status: 'skipped', ...stored };
  using _reserved = await context.memory.reserve(JOB_MEMORY.pairing, signal);
  const candidates: Candidate[] = [];
  const sources = [...new Set(input.sources)].filter((source) => source !== input.target);
  const compared =
    sources.length <= MOST_COMPARED
      ? sources
      : await mostSimilar(context, input.target, sources, MOST_COMPARED);
  for (const manifest of compared) {
    signal.throwIfAborted();
    candidates.push((await comparisons.compare([manifest])).candidate);
  }
  let ranking = rankCandidates(input.target, candidates, calibrations);
  if (input.together) {
    const combined = await findCombined(ranking, comparisons, signal);
    if (combined) ranking = rankCandidates(input.target, [...candidates, combined], calibrations);
  }
  await store.put(key, serializeRanking(ranking));
  context.log.info(
    { stage: 'pairing', target: input.target, candidates: candidates.length },
    'ranking stored',
  );
  return { status: 'done', ...ranking };
}

/**
 * The best source of several images, if it beats each alone: the best one, and what helps it most again and again. Of all
 * others those are tried that cover most of what it lacks: what ranks next to it often lacks the same.
 */
async function findCombined(
  { candidates }: Ranking,
  comparisons: Comparisons,
  signal: AbortSignal,
): Promise<Candidate | undefined> {
  let [best] = candidates;
  if (!best) return undefined;
  let parts = [best.source];
  let { costs } = await comparisons.compare(parts);
  while (parts.length < MOST_TOGETHER) {
    const least = best.predictedPatchSize * (1 - GAIN) * CREDIT;
    const helpers: { source: Digest; costs: ContentCosts; covered: number }[] = [];
    for (const { source } of candidates) {
      signal.throwIfAborted();
      if (parts.includes(source)) continue;
      const other = await comparisons.compare([source]);
      const covered = coveredBytes(costs, other.costs);
      if (covered >= least) helpers.push({ source, costs: other.costs, covered });
    }
    helpers.sort((a, b) => b.covered - a.covered);
    let next: { candidate: Candidate; parts: Digest[]; costs: ContentCosts } | undefined;
    for (const helper of helpers.slice(0, MOST_TRIED)) {
      signal.throwIfAborted();
      const tried = [...parts, helper.source];
      const { candidate } = await comparisons.compare(tried);
      const most = next ? next.candidate.predictedPatchSize : best.predictedPatchSize * GAIN;
      if (candidate.predictedPatchSize < most) {
        next = { candidate, parts: tried, costs: lesserCosts(costs, helper.costs) };
      }
    }
    if (!next) break;
    best = next.candidate;
    ({ parts, costs } = next);
  }
  return best.images && best;
}

/** A stored ranking that is sound and of this very question. */
async function findRanking(
  input: PairingInput,
  key: string,
  store: Store,
  calibrations: Ranking['calibrations'],
): Promise<Ranking | undefined> {
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  try {
    const ranking = parseRanking(bytes, `${store.where} ${key}`);
    const alone = ranking.candidates.filter(({ images }) => !images);
    const ranked = new Set(alone.map(({ source }) => source));
    const wanted = new Set(input.sources.filter((source) => source !== input.target));
    return ranking.target === input.target &&
      JSON.stringify(ranking.calibrations) === JSON.stringify(calibrations) &&
      ranked.isSubsetOf(wanted) &&
      ranked.size === Math.min(wanted.size, MOST_COMPARED)
      ? ranking
      : undefined;
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
