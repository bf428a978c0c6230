import { formatNamed } from '../../delta/formats.ts';
import type { ImageName } from '../../store/descriptor.ts';
import type { Answer, Offer } from '../offers/origin.ts';
import type { Resident } from './resident.ts';
import { findServers } from './sourceimages.ts';

/** Patches to apply one behind the other: the first one to what the site has, each other to what the one before built. */
export interface Chain {
  readonly links: readonly Link[];
  readonly servers: readonly Resident[];
  /** Of all patches, in bytes. */
  readonly size: number;
}

export interface Link {
  readonly offer: Offer;
  readonly target: ImageName;
}

/** Patches one behind the other, at most. */
export const MOST_LINKS = 3;
/** Images on the way that are asked for, at most. */
export const MOST_ASKED = 12;
/** What asking for one moves, in bytes; a guess. */
const ASKING = 16 * 1024;

/** The patches that can be applied to what the site has, each a chain of one. */
export function directChains({ offers = [], target }: Answer, residents: readonly Resident[]): Chain[] {
  return offers.flatMap((offer) => {
    const servers = findServers(offer, residents);
    return servers ? [{ links: [{ offer, target }], servers, size: offer.size }] : [];
  });
}

/**
 * The least chain through images that the site does not have, but that can be built on the way. Cheapest way first,
 * backwards from the target (Dijkstra's algorithm).
 *
 * @param limit in bytes; undefined where there is no chain below
 */
export async function findChain(
  answer: Answer,
  residents: readonly Resident[],
  limit: number,
): Promise<Chain | undefined> {
  let best: Chain | undefined;
  const seen = new Set([answer.target.manifest]);
  const ways = waysTo(answer, { links: [], size: 0 });
  for (let asked = 0; asked < MOST_ASKED && ways.length > 0; asked++) {
    ways.sort((a, b) => b.size - a.size);
    const way = ways.pop()!;
    if (way.size + ASKING >= (best?.size ?? limit)) break;
    const between = await way.ask();
    if (!between || seen.has(between.target.manifest)) continue;
    seen.add(between.target.manifest);
    for (const { links, servers, size } of directChains(between, residents)) {
      const chain = { links: [...links, ...way.links], servers, size: size + way.size };
      if (chain.size < (best?.size ?? limit)) best = chain;
    }
    if (way.links.length < MOST_LINKS - 1) ways.push(...waysTo(between, way));
  }
  return best;
}

interface Way {
  readonly links: readonly Link[];
  readonly size: number;
}

/** Patches that could be applied to what another patch builds, which is a layer stream. */
function waysTo({ target, offers = [] }: Answer, { links, size }: Way) {
  return offers.flatMap((offer) =>
    formatNamed(offer.format).traits.appliesToStream && offer.askSource
      ? [{ links: [{ offer, target }, ...links], size: size + offer.size, ask: offer.askSource }]
      : [],
  );
}
