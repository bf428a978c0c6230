import { compareVersions } from '../../lib/image/oci/version.ts';
import type { ResidentSet } from '../../lib/run/request.ts';
import { splitRelease, type PatchRow } from '../report/data.ts';

/** A patch that was made. */
export type MadePatch = PatchRow & { readonly actual: number };

/** The patches to the releases of one image. */
export interface ImagePatches {
  readonly image: string;
  /** References of the releases and of sources that are other images, older ones first. */
  readonly releases: readonly string[];
  /** The smallest of each pair. */
  readonly patches: readonly MadePatch[];
}

/** The savings of one site of an inventory. */
export interface SiteSavings {
  readonly site: string;
  readonly images: number;
  /** Targets that a patch leads to from images of the site. */
  readonly targets: number;
  /** Bytes of these targets' pulls, and of their patches. */
  readonly pull: number;
  readonly patches: number;
}

/** @param rows the latest first; the images are in their order */
export function groupByImage(rows: readonly PatchRow[]): ImagePatches[] {
  const images = new Map<string, Map<string, MadePatch>>();
  for (const row of rows.filter(isMade)) {
    const { image } = splitRelease(row.target);
    const pairs = images.get(image) ?? new Map<string, MadePatch>();
    images.set(image, pairs);
    const pair = `${row.source}\n${row.target}`;
    const known = pairs.get(pair);
    if (!known || row.actual < known.actual) pairs.set(pair, row);
  }
  return [...images].map(([image, pairs]) => {
    const patches = [...pairs.values()];
    const references = new Set(patches.flatMap(({ source, target }) => [source, target]));
    return { image, releases: [...references].sort((a, b) => byRelease(a, b, image)), patches };
  });
}

/** Other images come first: they are at the root of the patches. */
function byRelease(a: string, b: string, image: string): number {
  const [x, y] = [splitRelease(a), splitRelease(b)];
  const [isOwn, isOwnToo] = [x.image === image, y.image === image];
  if (isOwn !== isOwnToo) return isOwn ? 1 : -1;
  return compareVersions(x.release, y.release) || (a < b ? -1 : 1);
}

function isMade(row: PatchRow): row is MadePatch {
  return row.result === 'patch' && row.actual !== undefined;
}

/** @param sets the inventory, with references as runs have them */
export function savingsOf(sets: readonly ResidentSet[], rows: readonly PatchRow[]): SiteSavings[] {
  const made = rows.filter(isMade);
  const savings = sets.flatMap(({ images, sites = [] }) => {
    const held = new Set(images);
    const best = new Map<string, MadePatch>();
    for (const row of made) {
      if (held.has(row.target) || !row.source.split(' + ').every((source) => held.has(source))) continue;
      const known = best.get(row.target);
      if (!known || row.actual < known.actual) best.set(row.target, row);
    }
    const chosen = [...best.values()];
    const sum = {
      images: images.length,
      targets: chosen.length,
      pull: chosen.reduce((bytes, { pull }) => bytes + pull, 0),
      patches: chosen.reduce((bytes, { actual }) => bytes + actual, 0),
    };
    return sites.map((site) => ({ site, ...sum }));
  });
  return savings.sort((a, b) => (a.site < b.site ? -1 : 1));
}
