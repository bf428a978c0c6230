import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import { parseSignatureImage } from '../pairing/signature/stored.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { readIndex } from '../store/targetindex.ts';
import type { Census } from './census.ts';

/**
 * Keys of compression records that no remaining image needs: records of layers in no remaining image, and records of
 * earlier versions.
 *
 * @param gone images of which all objects are removed
 * @param signal stops between two images
 */
export async function findUnneededCompressions(
  store: Store,
  { images }: Census,
  gone: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<string[]> {
  const needed = new Set<string>();
  for (const [image, objects] of images) {
    signal.throwIfAborted();
    if (gone.has(image) || objects.index.length + objects.signature.length === 0) continue;
    const layers = await layersOf(store, image);
    // the layers of a damaged image are unknown, so any record may be needed
    if (!layers) return [];
    for (const layer of layers) needed.add(keys.compression(layer));
  }
  const unneeded: string[] = [];
  for await (const key of store.list(keys.compressions)) if (!needed.has(key)) unneeded.push(key);
  return unneeded;
}

/** Digests of the compressed layers. Undefined for an image with a damaged index or signature. */
async function layersOf(store: Store, image: Digest): Promise<Digest[] | undefined> {
  try {
    const index = await readIndex(store, image);
    if (index) {
      const bytes = Buffer.from(index.target.manifestDocument);
      return parseManifest(bytes, DEFAULT_LIMITS, image).layers.map(({ digest }) => digest);
    }
    const key = keys.signature(image);
    const bytes = await store.get(key);
    if (!bytes) return [];
    return parseSignatureImage(bytes, `${store.where} ${key}`).layers.map(({ digest }) => digest);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}
