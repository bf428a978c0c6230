import type { Digest } from '../../digest.ts';
import { PanamaxError } from '../../errors.ts';
import type { Limits } from '../../limits.ts';
import type { Descriptor, Platform } from './descriptor.ts';
import { isIndex, parseConfig, parseIndex, parseManifest, type IndexEntry } from './manifest.ts';
import { bestFits, formatPlatform, machinePlatform } from './platform.ts';

/** Names and platforms of the entries of an index. */

/** Reads documents that descriptors name. */
export interface Documents {
  /** Names the source in errors. */
  readonly where: string;
  /** @throws PanamaxError `not-found`, `bad-input`, `limit` */
  read(descriptor: Descriptor): Promise<Buffer>;
}

export interface ChoiceOptions {
  readonly limits: Limits;
  /** Default: this machine's. */
  readonly platform?: Platform;
}

/** Entries without a platform that are read to learn it from their configs, of an index and the indexes in it. */
const MAX_PROBED = 32;
/** Levels of indexes that are read for it. */
const MAX_PROBED_DEPTH = 2;
const REF_NAMES = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];
const REFERENCE_TYPE = 'vnd.docker.reference.type';

/**
 * The entries that fit the platform best, at least one. Of entries without a platform the configs are read.
 *
 * @throws PanamaxError `not-found`; the error of an entry if there is no other
 */
export async function fittingEntries(
  documents: Documents,
  all: readonly IndexEntry[],
  where: string,
  options: ChoiceOptions,
): Promise<IndexEntry[]> {
  const entries = preferred(all, isImage);
  const wanted = options.platform ?? machinePlatform();
  const fits = bestFits(entries, platformOf, wanted);
  if (fits.length > 0) return fits;
  const [only] = entries;
  if (only && entries.length === 1 && !only.platform) return [only];
  const probed = new Map<IndexEntry, readonly Platform[]>();
  const budget = { left: MAX_PROBED };
  for (const entry of entries.filter(({ platform }) => !platform).slice(0, MAX_PROBED)) {
    probed.set(entry, await platformsBelow(documents, entry, options, budget));
  }
  const found = bestFits([...probed.keys()], (entry) => probed.get(entry)!, wanted);
  if (found.length > 0) return found;
  const platforms = entries.map((entry) => {
    const known = [...platformOf(entry), ...(probed.get(entry) ?? [])];
    return known.map(formatPlatform).join(', ') || `${labelOf(entry)} without a platform`;
  });
  throw new PanamaxError('not-found', 'no image for this platform', {
    expected: formatPlatform(wanted),
    found: platforms.join(', ') || 'none',
    where,
  });
}

function platformOf({ platform }: IndexEntry): Platform[] {
  return platform ? [platform] : [];
}

/** The platform in an image's config, or the platforms of the entries of an index. Broken documents have none. */
async function platformsBelow(
  documents: Documents,
  entry: IndexEntry,
  options: ChoiceOptions,
  budget: { left: number },
  depth = 1,
): Promise<readonly Platform[]> {
  if (budget.left-- <= 0) return [];
  const read = async () => {
    const descriptor = entry.descriptor();
    const where = `${documents.where} ${descriptor.digest}`;
    const bytes = await documents.read(descriptor);
    if (isIndex(bytes, descriptor.mediaType, where)) return parseIndex(bytes, where);
    const manifest = parseManifest(bytes, options.limits, where);
    const config = await documents.read(manifest.config);
    return parseConfig(config, manifest, `${documents.where} ${manifest.config.digest}`).platform;
  };
  const found = await unlessBroken(read);
  if (found === undefined) return [];
  if (!Array.isArray(found)) return [found as Platform];
  const platforms: Platform[] = [];
  for (const child of preferred(found as readonly IndexEntry[], isImage)) {
    if (child.platform) platforms.push(child.platform);
    else if (depth <= MAX_PROBED_DEPTH) {
      platforms.push(...(await platformsBelow(documents, child, options, budget, depth + 1)));
    }
  }
  return platforms;
}

/** Undefined if a document is missing or damaged. */
export async function unlessBroken<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PanamaxError && ['not-found', 'bad-input', 'limit'].includes(error.kind))
      return undefined;
    throw error;
  }
}

/** Attestations have platform unknown/unknown. */
export function isImage({ platform, artifactType, annotations }: IndexEntry): boolean {
  return (
    platform?.os !== 'unknown' && artifactType === undefined && annotations?.[REFERENCE_TYPE] === undefined
  );
}

export function preferred(
  entries: readonly IndexEntry[],
  wanted: (entry: IndexEntry) => boolean,
): readonly IndexEntry[] {
  const found = entries.filter(wanted);
  return found.length > 0 ? found : entries;
}

export function digestOf(entry: IndexEntry): Digest | undefined {
  try {
    return entry.descriptor().digest;
  } catch {
    return undefined;
  }
}

export function nameOf({ annotations }: IndexEntry): string | undefined {
  return REF_NAMES.map((key) => annotations?.[key]).find((name) => name !== undefined);
}

/** How a user can name an entry. */
export function labelOf(entry: IndexEntry): string {
  return nameOf(entry) ?? digestOf(entry) ?? 'a damaged entry';
}

export function hasName(entry: IndexEntry, name: string): boolean {
  return REF_NAMES.some((key) => entry.annotations?.[key] === name) || digestOf(entry) === name;
}
