import type { Digest } from '../lib/oci/descriptor.ts';
import {
  compareImages,
  parseRanking,
  rankCandidates,
  scopeOf,
  type Candidate,
  type Ranking,
} from '../lib/pairing/ranking.ts';
import { PanamaxError } from '../lib/errors.ts';
import type { Outcome, StageContext } from '../lib/run/context.ts';
import { keys } from '../lib/store/layout.ts';
import { loadSignature } from './signature.ts';

export interface PairingInput {
  readonly target: Digest;
  /** The images allowed as sources; the target itself is passed over. */
  readonly sources: readonly Digest[];
}

/** Ranks the sources for a target and stores the ranking. Holds the signatures of two images at a time. */
export async function pairingStage(input: PairingInput, context: StageContext): Promise<Outcome<Ranking>> {
  const { store, signal } = context;
  const key = keys.pairing(input.target, scopeOf(input.sources));
  const stored = await store.get(key);
  if (stored) {
    try {
      return { status: 'skipped', ...parseRanking(stored, `${store.where} ${key}`) };
    } catch (error) {
      if (!(error instanceof PanamaxError && error.kind === 'bad-input')) throw error;
    }
  }
  const target = await loadSignature(store, input.target);
  const candidates: Candidate[] = [];
  for (const manifest of input.sources) {
    signal.throwIfAborted();
    if (manifest === input.target) continue;
    candidates.push(compareImages(target, await loadSignature(store, manifest)));
  }
  const ranking = rankCandidates(input.target, candidates);
  await store.put(key, Buffer.from(`${JSON.stringify(ranking, null, 2)}\n`));
  context.log.info(
    { stage: 'pairing', target: input.target, candidates: candidates.length },
    'ranking stored',
  );
  return { status: 'done', ...ranking };
}
