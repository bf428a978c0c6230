import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { readDocument, type BlobSource } from './blobs.ts';
import {
  digestOf,
  fittingEntries,
  hasName,
  isImage,
  labelOf,
  nameOf,
  preferred,
  unlessBroken,
  type ChoiceOptions,
  type Documents,
} from './oci/indexentries.ts';
import { isIndex, parseIndex, parseManifest, type IndexEntry } from './oci/manifest.ts';
import { formatReference, type Reference } from './oci/reference.ts';

/** Chooses one image of a layout or an index. */

export interface ChosenManifest {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

const MAX_INDEX_DEPTH = 4;
/** Documents that are read to find an image by its config. */
const MAX_SEARCHED = 256;

/**
 * Chooses an image by the entries of a layout's index.json. Without a name, the only image is chosen, also if it has
 * several names or if artifacts are beside it. Of several images under one name the one that fits the platform best
 * is chosen, and of equals the first, as by skopeo.
 *
 * @throws PanamaxError `not-found`; `usage` if one of several images is to be named
 */
export async function chooseFromLayout(
  blobs: BlobSource,
  index: Uint8Array,
  reference: Reference,
  options: ChoiceOptions,
): Promise<ChosenManifest> {
  const { name } = reference;
  const all = parseIndex(index, `${blobs.where} index.json`);
  const named = name === undefined ? all : all.filter((entry) => hasName(entry, name));
  if (named.length === 0) {
    const found = all.map(labelOf).join(', ') || 'none';
    throw new PanamaxError('not-found', 'no such tag', {
      expected: name ?? 'an image',
      found,
      where: blobs.where,
    });
  }
  let images = distinct(preferred(named, isImage));
  const several = (entries: readonly IndexEntry[]) =>
    new PanamaxError('usage', 'several images; name one', {
      expected: formatReference({ ...reference, name: 'TAG' }),
      found: entries.map(labelOf).join(', '),
      where: blobs.where,
    });
  if (images.length > 1 && name === undefined && new Set(images.map(nameOf)).size > 1) {
    images = await withoutArtifacts(blobs, images, options);
    if (new Set(images.map(nameOf)).size > 1) throw several(images);
  }
  const fits =
    images.length === 1
      ? images
      : await fittingEntries(documentsOf(blobs, options.limits), images, blobs.where, options);
  if (fits.length > 1 && nameOf(fits[0]!) === undefined) throw several(fits);
  return descend(blobs, fits[0]!, options);
}

/** Reads a manifest, or that of the image for the platform from an index. @throws PanamaxError `not-found`, `bad-input` */
export async function descend(
  blobs: BlobSource,
  entry: Pick<IndexEntry, 'descriptor'>,
  options: ChoiceOptions,
): Promise<ChosenManifest> {
  let at = entry;
  for (let depth = 0; ; depth++) {
    const descriptor = at.descriptor();
    const where = `${blobs.where} ${descriptor.digest}`;
    const bytes = await readDocument(blobs, descriptor, options.limits);
    if (!isIndex(bytes, descriptor.mediaType, where)) return { digest: descriptor.digest, bytes };
    if (depth === MAX_INDEX_DEPTH) {
      throw new PanamaxError('limit', 'indexes are nested too deep', {
        expected: `at most ${MAX_INDEX_DEPTH}`,
        where: blobs.where,
      });
    }
    at = (
      await fittingEntries(documentsOf(blobs, options.limits), parseIndex(bytes, where), where, options)
    )[0]!;
  }
}

/**
 * The manifest of the image with a config, of all in a layout. Documents that are missing or damaged are passed over:
 * they belong to other images.
 */
export async function findByConfig(
  blobs: BlobSource,
  index: Uint8Array,
  config: Digest,
  { limits }: ChoiceOptions,
): Promise<ChosenManifest | undefined> {
  const seen = new Set<Digest>();
  const queue = [...parseIndex(index, `${blobs.where} index.json`)];
  for (const entry of queue) {
    const found = await unlessBroken(async () => {
      const descriptor = entry.descriptor();
      const { digest } = descriptor;
      if (seen.has(digest) || seen.size === MAX_SEARCHED) return undefined;
      seen.add(digest);
      const where = `${blobs.where} ${digest}`;
      const bytes = await readDocument(blobs, descriptor, limits);
      if (isIndex(bytes, descriptor.mediaType, where)) {
        for (const child of parseIndex(bytes, where)) queue.push(child);
        return undefined;
      }
      return parseManifest(bytes, limits, where).config.digest === config ? { digest, bytes } : undefined;
    });
    if (found) return found;
  }
  return undefined;
}

/** Leaves out entries that are neither images nor indexes, unless none is left. */
async function withoutArtifacts(
  blobs: BlobSource,
  entries: readonly IndexEntry[],
  { limits }: ChoiceOptions,
): Promise<readonly IndexEntry[]> {
  const images: IndexEntry[] = [];
  for (const entry of entries) {
    const found = await unlessBroken(async () => {
      const descriptor = entry.descriptor();
      const where = `${blobs.where} ${descriptor.digest}`;
      const bytes = await readDocument(blobs, descriptor, limits);
      if (!isIndex(bytes, descriptor.mediaType, where)) parseManifest(bytes, limits, where);
      return entry;
    });
    if (found) images.push(found);
  }
  return images.length > 0 ? images : entries;
}

function documentsOf(blobs: BlobSource, limits: Limits): Documents {
  return { where: blobs.where, read: (descriptor) => readDocument(blobs, descriptor, limits) };
}

/** Each image once. */
function distinct(entries: readonly IndexEntry[]): readonly IndexEntry[] {
  const seen = new Set<string>();
  return entries.filter((entry) => {
    const digest = digestOf(entry);
    if (digest === undefined || !seen.has(digest)) {
      if (digest !== undefined) seen.add(digest);
      return true;
    }
    return false;
  });
}
