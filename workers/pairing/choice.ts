import { formatNamed } from '../../lib/delta/formats.ts';
import { isWorthIt, type Candidate, type Ranking } from '../../lib/pairing/ranking.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import { indexHead, writeIndex } from '../../lib/store/targetindex.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadRecord } from '../delta/compressions.ts';

/** The pairs that are made from a ranking. */
export interface Choice {
  /** The sources that get a patch. */
  readonly chosen: readonly Candidate[];
  /** Best candidates without a patch, because a pull is predicted to move hardly more. */
  readonly skippedCandidates: readonly Candidate[];
}

/**
 * Takes the best candidates of a ranking. If none is worth a patch, the target's index is written at once.
 *
 * @param isWanted whether a patch may start from a candidate
 */
export async function choosePairs(
  { target, candidates }: Ranking,
  { top, formats, force }: Pick<RunRequest, 'top' | 'formats' | 'force'>,
  store: Store,
  isWanted: (candidate: Candidate) => boolean = () => true,
): Promise<Choice> {
  const combines = formats.map((format) => formatNamed(format).traits.combinesSources);
  const fits = candidates.filter((one) => (!one.images || combines.includes(true)) && isWanted(one));
  let best = fits.slice(0, top);
  // formats that combine no sources get the best single images as well
  if (combines.includes(false)) {
    const single = fits.filter(({ images }) => !images).slice(0, top);
    best = [...new Set([...best, ...single])];
  }
  const chosen = best.filter((candidate) => force === true || isWorthIt(candidate, formats));
  if (chosen.length === 0) await writeIndex(store, indexHead(await loadRecord(store, target)));
  return { chosen, skippedCandidates: best.filter((candidate) => !chosen.includes(candidate)) };
}
