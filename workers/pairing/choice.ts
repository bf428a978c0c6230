import { formatNamed } from '../../lib/delta/formats.ts';
import { isWorthIt, type Candidate, type Ranking } from '../../lib/pairing/ranking.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import type { Passed, PassReason } from '../../lib/run/schemas.ts';
import { indexHead, writeIndex } from '../../lib/store/targetindex.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadRecord } from '../delta/compressions.ts';

/** The pairs that are made from a ranking. */
export interface Choice {
  /** The sources that get a patch. */
  readonly chosen: readonly Candidate[];
  /** Other candidates among the best ones, with the reason. */
  readonly skippedCandidates: readonly (Passed & { readonly candidate: Candidate })[];
}

/** A further source gets a patch up to this multiple of the size that is predicted for the best one. */
const FAR = 4;

/**
 * Takes the best candidates of a ranking: `top` is a bound. A further one has to serve sites that the best one does not.
 * If none is worth a patch, the target's index is written at once.
 *
 * @param together whether each site has all of the sources, so that the best patch serves every site
 * @param isWanted whether a patch may start from a candidate
 */
export async function choosePairs(
  { target, candidates }: Ranking,
  { top, formats, force }: Pick<RunRequest, 'top' | 'formats' | 'force'>,
  store: Store,
  together = false,
  isWanted: (candidate: Candidate) => boolean = () => true,
): Promise<Choice> {
  const combines = formats.map((format) => formatNamed(format).traits.combinesSources);
  const fits = candidates.filter((one) => (!one.images || combines.includes(true)) && isWanted(one));
  const lists = [fits.slice(0, top)];
  // formats that combine no sources get the best single images as well
  if (combines.includes(false)) lists.push(fits.filter(({ images }) => !images).slice(0, top));
  const reasons = new Map<Candidate, PassReason | undefined>();
  for (const list of lists) {
    const [first] = list;
    for (const candidate of list) {
      const reason = force ? undefined : passReason(candidate, first!, formats, together);
      // a candidate of both lists is taken if one takes it
      if (!reasons.has(candidate) || !reason) reasons.set(candidate, reason);
    }
  }
  const chosen = [...reasons.keys()].filter((candidate) => !reasons.get(candidate));
  if (chosen.length === 0) await writeIndex(store, indexHead(await loadRecord(store, target)));
  const skippedCandidates = [...reasons].flatMap(([candidate, reason]) =>
    reason ? [{ candidate, reason }] : [],
  );
  return { chosen, skippedCandidates };
}

function passReason(
  candidate: Candidate,
  first: Candidate,
  formats: RunRequest['formats'],
  together: boolean,
): PassReason | undefined {
  if (!isWorthIt(candidate, formats)) return 'pull';
  if (candidate === first) return undefined;
  if (together) return 'served';
  return candidate.predictedPatchSize > FAR * first.predictedPatchSize ? 'far' : undefined;
}
