import { formatNamed } from '../../delta/formats.ts';
import type { Digest } from '../../digest.ts';
import { layersDigest } from '../../store/descriptor.ts';
import type { Offer } from '../offers/origin.ts';
import type { Resident } from './resident.ts';

/**
 * Finds the images of a site that a patch applies to: its source, or, if the format combines sources, as few images
 * as possible that together have all layers of the source.
 *
 * @returns undefined if layers are missing
 */
export function findSourceImages(
  { format, source }: Pick<Offer, 'format' | 'source'>,
  residents: readonly Resident[],
): Resident[] | undefined {
  const { combinesSources } = formatNamed(format).traits;
  const itself = residents.find(
    ({ config, diffIDs }) =>
      config === source.config || (combinesSources && layersDigest(diffIDs) === source.layers),
  );
  if (itself) return [itself];
  if (!combinesSources || !source.diffIDs) return undefined;
  // greedy set cover
  const missing = new Set<Digest>(source.diffIDs);
  const images: Resident[] = [];
  while (missing.size > 0) {
    const counts = residents.map(({ diffIDs }) => new Set(diffIDs).intersection(missing).size);
    const most = Math.max(0, ...counts);
    if (most === 0) return undefined;
    const best = residents[counts.indexOf(most)]!;
    images.push(best);
    for (const diffID of best.diffIDs) missing.delete(diffID);
  }
  return images.length > 0 ? images : undefined;
}
