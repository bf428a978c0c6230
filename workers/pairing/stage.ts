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
  /** The images allowed as sources; the target itself is ignored. */
  readonly sources: readonly Digest[];
  /** Sites have all of the sources, so that several images may be one source. */
  readonly combineSources?: boolean;
}

/** Sources that are compared at most; of more, those nearest by the similarity index. */
export const MOST_COMPARED = 64;

/** Images of a combined source, at most. */
const MOST_COMBINED = 3;
/** Images that are tried in addition to the best source at each step. */
const MOST_TRIED = 3;
/** Another image is added to a source only if it reduces the prediction to this share. */
const GAIN = 0.9;
/** An image is tried if its expected gain is this share of the needed gain. The expectation ignores headers and partly covered files. */
const CREDIT = 0.5;

/**
 * Ranks the sources for a target and stores the ranking.
 *
 * @param known earlier comparisons of the target, if it is ranked more than once
 */
export async function pairingStage(
  input: PairingInput,
  context: StageContext,
  known?: Comparisons,
): Promise<Outcome<Ranking>> {
  const { store, signal } = context;
  const key = keys.pairing(input.target, scopeOf(input.sources, input.combineSources));
  const comparisons =
    known ?? createComparisons(store, input.target, await loadCalibrations(store), context.memory.size);
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
  for await (const { candidate } of comparisons.compareEach(compared, signal)) candidates.push(candidate);
  let ranking = rankCandidates(input.target, candidates, calibrations);
  if (input.combineSources) {
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
 * The best source of several images, if it beats each single one. Starts with the best image and adds the one that helps
 * most, step by step. Tries the images that cover most of what the source lacks: the next in rank often lack the same.
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
  while (parts.length < MOST_COMBINED) {
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

/** The stored ranking, if it is sound and was made from the same inputs. */
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
    const single = ranking.candidates.filter(({ images }) => !images);
    const ranked = new Set(single.map(({ source }) => source));
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
