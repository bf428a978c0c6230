import type { Digest } from '../../digest.ts';
import { formatNamed } from '../../delta/formats.ts';
import { layersDigest } from '../../store/descriptor.ts';
import type { Offer } from '../offers/origin.ts';
import type { Resident } from './resident.ts';

/**
 * The images of a site that a patch can be applied to: its source; else, where the format combines sources, as few
 * images as have all layers of the source between them. Undefined where there are none.
 */
export function findServers(
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
  const missing = new Set<Digest>(source.diffIDs);
  const servers: Resident[] = [];
  while (missing.size > 0) {
    const counts = residents.map(({ diffIDs }) => new Set(diffIDs).intersection(missing).size);
    const most = Math.max(0, ...counts);
    if (most === 0) return undefined;
    const best = residents[counts.indexOf(most)]!;
    servers.push(best);
    for (const diffID of best.diffIDs) missing.delete(diffID);
  }
  return servers.length > 0 ? servers : undefined;
}
