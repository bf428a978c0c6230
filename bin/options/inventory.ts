import { readFile } from 'node:fs/promises';
import { isDigest, type Digest } from '../../lib/digest.ts';
import { toPanamaxError } from '../../lib/errors.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { formatReleaseName, parseReleaseName, releaseNameOf } from '../../lib/image/oci/releasename.ts';
import type { Census } from '../../lib/retention/census.ts';
import type { ResidentSet } from '../../lib/run/request.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import type { Arguments } from '../command.ts';

/**
 * Reads the inventory file of a command line.
 *
 * @throws PanamaxError `not-found`, `io`; `bad-input` for a file that is not an inventory
 */
export async function readInventory(path: string): Promise<ResidentSet[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  return parseInventory(text, path);
}

/**
 * Resolves the images of an inventory to manifest digests. A reference that cannot be resolved is an error, so that a
 * typing mistake does not cost an image that a site holds.
 *
 * @throws PanamaxError as `readInventory` and `openImage`
 */
export async function readHeldImages(
  path: string,
  census: Census,
  { limits, platform }: Arguments,
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const held = new Set<Digest>();
  const sites = await readInventory(path);
  for (const reference of new Set(sites.flatMap(({ images }) => images))) {
    const known = manifestsOf(reference, census);
    for (const manifest of known) held.add(manifest);
    if (known.length > 0) continue;
    const image = await openImage(await parseReference(reference), { ...platform, limits, signal });
    held.add(image.manifestDigest);
  }
  return held;
}

/** Manifests known for a reference: its digest, or else every image that its name has stood for. */
function manifestsOf(reference: string, { names, images }: Census): Digest[] {
  const digest = reference.slice(reference.indexOf('@') + 1);
  if (isDigest(digest) && (reference === digest || images.has(digest))) return [digest];
  const name = releaseNameOf(reference) ?? plainName(reference);
  const text = name && formatReleaseName({ repository: name.repository, ...(name.tag && { tag: name.tag }) });
  return names.filter((record) => record.name === text).map(({ target }) => target.manifest);
}

/** Parses a name without a transport, as lists made at sites have them. */
function plainName(reference: string) {
  try {
    return parseReleaseName(reference);
  } catch {
    return undefined;
  }
}
