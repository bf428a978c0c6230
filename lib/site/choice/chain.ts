import { PanamaxError } from '../../errors.ts';
import { formatNamed } from '../../delta/formats.ts';
import type { ImageIdentity } from '../../store/descriptor.ts';
import type { Answer, Offer } from '../offers/origin.ts';
import type { Resident } from './resident.ts';
import { findSourceImages } from './sourceimages.ts';

/** Patches to apply in order: the first to images of the site, each other one to the result of the one before. */
export interface Chain {
  readonly links: readonly Link[];
  /** The images that the first patch applies to. */
  readonly sourceImages: readonly Resident[];
  /** Of all patches, in bytes. */
  readonly size: number;
}

export interface Link {
  readonly offer: Offer;
  readonly target: ImageIdentity;
}

/** Maximum number of patches in a chain. */
export const MOST_LINKS = 3;
/** Maximum number of images between that are looked up. */
export const MOST_ASKED = 12;
/** Bytes that looking up an image moves; an estimate. */
const ASKING = 16 * 1024;

/** The patches that apply to images of the site, each as a chain of one. */
export function directChains({ offers = [], target }: Answer, residents: readonly Resident[]): Chain[] {
  return offers.flatMap((offer) => {
    const sourceImages = findSourceImages(offer, residents);
    return sourceImages ? [{ links: [{ offer, target }], sourceImages, size: offer.size }] : [];
  });
}

/**
 * Finds the smallest chain through images that the site does not have: Dijkstra's algorithm, backwards from the
 * target, cheapest way first.
 *
 * @param limit in bytes
 * @returns undefined if no chain is smaller than `limit`
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
    const between = await way.ask().catch(unlessDamaged);
    if (!between || seen.has(between.target.manifest)) continue;
    seen.add(between.target.manifest);
    for (const { links, sourceImages, size } of directChains(between, residents)) {
      const chain = { links: [...links, ...way.links], sourceImages, size: size + way.size };
      if (chain.size < (best?.size ?? limit)) best = chain;
    }
    if (way.links.length < MOST_LINKS - 1) ways.push(...waysTo(between, way));
  }
  return best;
}

/** A damaged index of one image between does not hide chains through others. */
function unlessDamaged(error: unknown): undefined {
  if (!(error instanceof PanamaxError && error.kind === 'bad-input')) throw error;
}

interface Way {
  readonly links: readonly Link[];
  readonly size: number;
}

/** The patches that can follow another patch, whose result is a bare layer stream. */
function waysTo({ target, offers = [] }: Answer, { links, size }: Way) {
  return offers.flatMap((offer) =>
    formatNamed(offer.format).traits.appliesToStream && offer.askSource
      ? [{ links: [{ offer, target }, ...links], size: size + offer.size, ask: offer.askSource }]
      : [],
  );
}
