import { hexOf, type Digest } from '../digest.ts';
import { parseReleaseName } from '../image/oci/releasename.ts';
import { compareVersions, isVersion } from '../image/oci/version.ts';
import { repositoryIn, type Census, type FoundName, type Pair } from './census.ts';

/** The images to keep. At least one of `keepLast` and `inventory` is set. */
export interface Policy {
  /** Number of latest releases, and number of highest versions, to keep per repository and platform. */
  readonly keepLast?: number;
  /** Images that sites hold. */
  readonly inventory?: ReadonlySet<Digest>;
  /** Whether to remove images that no name has ever stood for. */
  readonly dropUnnamed: boolean;
}

/** The objects of one image to remove, in the order of removal: references first, then the objects they refer to. */
export interface Removal {
  readonly target: Digest;
  readonly why: string;
  /** Whether everything goes but the signature. The signature stays while the image is the source of a kept patch. */
  readonly isWhole: boolean;
  /** Whether the signature goes, too. */
  readonly isGone: boolean;
  readonly index: readonly string[];
  readonly pairs: readonly Pair[];
  /** Objects without references to them: rankings, strays, signatures. */
  readonly rest: readonly string[];
}

export interface Retention {
  /** Targets whose index stays. */
  readonly kept: readonly Digest[];
  readonly removals: readonly Removal[];
  /**
   * Past records of names to remove. A past record tells that its image was a release, so it goes with the image's last
   * object.
   */
  readonly names: readonly { readonly key: string; readonly target: Digest }[];
}

/** Decides which objects a policy removes. */
export function applyPolicy(census: Census, policy: Policy): Retention {
  const { keepLast, inventory, dropUnnamed } = policy;
  const named = new Set(census.names.map(({ target }) => target.manifest));
  const last = lastReleases(census.names, keepLast);
  const isHeld = (image: Digest) => (inventory?.has(image) ?? false) || census.awaited.has(image);
  // the image of a damaged name may be any image of its repository, or one without another name
  const unsure = new Set(
    census.names
      .filter(({ key }) => census.damagedRepositories.has(repositoryIn(key)))
      .map(({ target }) => target.manifest),
  );
  const dropsUnnamed = dropUnnamed && census.damagedRepositories.size === 0;
  const isKept = (image: Digest) =>
    isHeld(image) || last.has(image) || unsure.has(image) || (!named.has(image) && !dropsUnnamed);
  const isSource = (image: Digest) =>
    inventory === undefined || isHeld(image) || (keepLast !== undefined && last.has(image));

  const sources = new Set<Digest>();
  const wanted = new Map<Digest, readonly Pair[]>();
  for (const [target, { pairs }] of census.images) {
    const kept = isKept(target) ? pairs.filter((pair) => pair.sources.every(isSource)) : [];
    wanted.set(target, kept);
    for (const source of kept.flatMap((pair) => pair.sources)) sources.add(source);
  }
  const goes = (image: Digest) => !isKept(image) && (!sources.has(image) || !census.images.has(image));
  const removals: Removal[] = [];
  const kept: Digest[] = [];
  for (const [target, objects] of census.images) {
    const isWhole = !isKept(target);
    const stays = new Set(wanted.get(target));
    const pairs = objects.pairs.filter((pair) => !stays.has(pair));
    const signature = goes(target) ? objects.signature : [];
    const index = isWhole ? objects.index : [];
    const rest = [...objects.stray, ...(isWhole ? objects.pairings : []), ...signature];
    if (!isWhole && objects.index.length > 0) kept.push(target);
    if (index.length + pairs.length + rest.length === 0) continue;
    const why = isWhole ? 'not a kept release' : 'made from images that no site holds';
    removals.push({ target, why, isWhole, isGone: goes(target), index, pairs, rest });
  }
  return {
    kept,
    removals,
    names: census.names
      .filter(({ isCurrent, target }) => !isCurrent && goes(target.manifest))
      .map(({ key, target }) => ({ key, target: target.manifest })),
  };
}

/** The latest releases and highest versions of each repository; without a number, the images of current names. */
function lastReleases(names: readonly FoundName[], keepLast: number | undefined): Set<Digest> {
  if (keepLast === undefined) {
    return new Set(names.filter(({ isCurrent }) => isCurrent).map(({ target }) => target.manifest));
  }
  const byRepository = new Map<string, FoundName[]>();
  for (const name of names) {
    const key = `${parseReleaseName(name.name).repository} ${name.platform}`;
    byRepository.set(key, [...(byRepository.get(key) ?? []), name]);
  }
  const last = new Set<Digest>();
  for (const records of byRepository.values()) {
    const byTime = records.toSorted((a, b) => b.sequence - a.sequence);
    // an older release may have been recorded after a newer one, so versions count as well
    const byVersion = byTime
      .filter((record) => isVersion(tagOf(record)))
      .toSorted((a, b) => compareVersions(tagOf(b), tagOf(a)));
    for (const order of [byTime, byVersion]) {
      const images = order.map(({ target }) => target.manifest);
      for (const image of [...new Set(images)].slice(0, keepLast)) last.add(image);
    }
  }
  return last;
}

function tagOf({ name }: FoundName): string {
  return parseReleaseName(name).tag ?? '';
}

/** The image's latest name, or a shortened digest, for messages. */
export function shortName(image: Digest, names: readonly FoundName[]): string {
  const found = names.filter(({ target }) => target.manifest === image);
  const latest = found.toSorted((a, b) => b.sequence - a.sequence)[0];
  return latest?.name ?? `sha256:${hexOf(image).slice(0, 16)}`;
}
