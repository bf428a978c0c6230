import type { Digest } from '../lib/oci/descriptor.ts';
import {
  compareImages,
  parseRanking,
  rankCandidates,
  scopeOf,
  serializeRanking,
  type Candidate,
  type Ranking,
} from '../lib/pairing/ranking.ts';
import type { Calibrations } from '../lib/pairing/prediction.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { Outcome, StageContext } from '../lib/run/context.ts';
import { keys } from '../lib/store/layout.ts';
import type { Store } from '../lib/store/store.ts';
import { loadCalibrations } from './calibration.ts';
import { loadSignature } from './signature.ts';
import { mostSimilar } from './sketch.ts';

export interface PairingInput {
  readonly target: Digest;
  /** The images allowed as sources; the target itself is passed over. */
  readonly sources: readonly Digest[];
}

/** Of more sources than this only those are compared that the similarity index holds for nearest. */
export const MOST_COMPARED = 64;

/**
 * Ranks the sources for a target and stores the ranking. Holds the signatures of two images at a time.
 */
export async function pairingStage(input: PairingInput, context: StageContext): Promise<Outcome<Ranking>> {
  const { store, signal } = context;
  const key = keys.pairing(input.target, scopeOf(input.sources));
  const calibrations = await loadCalibrations(store);
  const stored = await findRanking(input, key, store, calibrations);
  if (stored) return { status: 'skipped', ...stored };
  const target = await loadSignature(store, input.target);
  const candidates: Candidate[] = [];
  const sources = [...new Set(input.sources)].filter((source) => source !== input.target);
  const compared =
    sources.length <= MOST_COMPARED
      ? sources
      : await mostSimilar(context, input.target, sources, MOST_COMPARED);
  for (const manifest of compared) {
    signal.throwIfAborted();
    candidates.push(compareImages(target, await loadSignature(store, manifest), calibrations));
  }
  const ranking = rankCandidates(input.target, candidates, calibrations);
  await store.put(key, serializeRanking(ranking));
  context.log.info(
    { stage: 'pairing', target: input.target, candidates: candidates.length },
    'ranking stored',
  );
  return { status: 'done', ...ranking };
}

/** A stored ranking that is sound and of this very question. */
async function findRanking(
  input: PairingInput,
  key: string,
  store: Store,
  calibrations: Calibrations,
): Promise<Ranking | undefined> {
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  try {
    const ranking = parseRanking(bytes, `${store.where} ${key}`);
    const ranked = new Set(ranking.candidates.map((candidate) => candidate.source));
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
