import type { Compression } from '../../compression/recipe.ts';
import type { Digest } from '../../digest.ts';
import { DEFAULT_LIMITS } from '../../limits.ts';
import { readPart, type LayerStream } from '../layerstream.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { ImageRecord } from '../record.ts';
import { makesWhole } from './detect.ts';
import type { KnownCompressions } from './known.ts';

/**
 * Applies recipes to the layers that they are recorded for. This takes as long as the compression of the layers, so it
 * runs in a thread.
 *
 * @param known recipes to check
 * @returns the layers whose recipe does not make their blob
 * @throws errors of reading the layer stream
 */
export async function findWrongCompressions(
  { manifest, manifestDocument, layers }: ImageRecord,
  { parts }: LayerStream,
  known: KnownCompressions,
): Promise<Digest[]> {
  const descriptors = parseManifest(Buffer.from(manifestDocument), DEFAULT_LIMITS, manifest).layers;
  const wrong = new Set<Digest>();
  const checked = new Set<Digest>();
  for (const [i, { diffID, digest }] of layers.entries()) {
    const recipe = known.get(digest);
    if (recipe && !checked.has(digest)) {
      checked.add(digest);
      if (!(await makesLayer(recipe, readPart(parts[i]!), descriptors[i]!, diffID))) wrong.add(digest);
    }
  }
  return [...wrong];
}

/** A recipe that fails on the tar does not make the layer; an error of reading the tar is thrown. */
async function makesLayer(
  recipe: Compression,
  tar: AsyncIterable<Uint8Array>,
  descriptor: Descriptor,
  diffID: Digest,
): Promise<boolean> {
  if (recipe.encoder === 'none') return descriptor.digest === diffID;
  const failure: { error?: unknown } = {};
  try {
    return await makesWhole(recipe, withFailure(tar, failure), Buffer.of(), descriptor);
  } catch {
    if ('error' in failure) throw failure.error;
    return false;
  }
}

/** Passes chunks on and keeps an error of their source. */
async function* withFailure(
  chunks: AsyncIterable<Uint8Array>,
  failure: { error?: unknown },
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* chunks;
  } catch (error) {
    failure.error = error;
    throw error;
  }
}
