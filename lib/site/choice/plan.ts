import { toPanamaxError } from '../../errors.ts';
import type { ImageIdentity } from '../../store/descriptor.ts';
import type { Answer, Offer } from '../offers/origin.ts';
import { directChains, findChain, type Chain, type Link } from './chain.ts';
import { requirementsOf, type Requirements } from './requirements.ts';
import type { Resident } from './resident.ts';

/** The patches that a pull applies, as shown to users. */
export interface PullPlan {
  readonly target: ImageIdentity;
  /** Labels of the source images. */
  readonly source: string;
  /** The patch that rebuilds the target. */
  readonly offer: Offer;
  /** Patches to apply before it, in order: they rebuild its source, which the site does not have. */
  readonly before: readonly Link[];
  /** Of all patches, in bytes. */
  readonly size: number;
  readonly need: Requirements;
}

/** A way to rebuild an image: a plan, and the images that its first patch applies to. */
export interface Choice {
  readonly plan: PullPlan;
  readonly sourceImages: readonly Resident[];
}

export interface Choices {
  /** Smallest first. */
  readonly choices: readonly Choice[];
  /** Why there are none, or not all. */
  readonly reasons: readonly string[];
}

/**
 * Chooses the patches that rebuild a target from images of a site: a single patch, or a chain if it is smaller than
 * any single patch and a pull.
 *
 * @param label of the origin, for reasons
 */
export async function choosePatches(
  answer: Answer,
  residents: readonly Resident[],
  label: string,
  signal: AbortSignal,
): Promise<Choices> {
  const { target, offers, pullSize } = answer;
  if (!offers) return { choices: [], reasons: [`${label} has no index of ${target.manifest}`] };
  const reasons: string[] = [];
  const direct = directChains(answer, residents);
  const least = Math.min(pullSize ?? Infinity, ...direct.map(({ size }) => size));
  const through = await findChain(answer, residents, least).catch((error: unknown) => {
    signal.throwIfAborted();
    // single patches do not need the images between
    reasons.push(`looking for chains of patches: ${toPanamaxError(error).message}`);
    return undefined;
  });
  const chains = [...(through ? [through] : []), ...direct].toSorted((a, b) => a.size - b.size);
  if (chains.length === 0) reasons.push(noneFits(label, offers.length, residents.length));
  return { choices: chains.map((chain) => choiceOf(chain, target)), reasons };
}

function choiceOf({ links, sourceImages, size }: Chain, target: ImageIdentity): Choice {
  const need = requirementsOf(
    links,
    sourceImages.some(({ isExported }) => isExported),
  );
  const source = sourceImages.map(({ label }) => label).join(' + ');
  const { offer } = links.at(-1)!;
  return { plan: { target, source, offer, before: links.slice(0, -1), size, need }, sourceImages };
}

function noneFits(label: string, patches: number, residents: number): string {
  return patches === 0
    ? `${label} has no patch to this image from one of the ${residents} images that are here`
    : `none of ${patches} patches is from one of the ${residents} images that are here`;
}
