import type { Digest } from '../digest.ts';
import { PanamaxError } from '../errors.ts';
import { readSignatureImage } from '../pairing/signature/stored.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import type { Census } from './census.ts';

/**
 * Keys of summaries of layers that no image with a signature has, and of those of earlier versions.
 *
 * @param gone images of which all objects are removed
 * @param signal stops between two images
 */
export async function findUnneededLayers(
  store: Store,
  { images }: Census,
  gone: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<string[]> {
  const summaries = await Array.fromAsync(store.list(keys.layers));
  if (summaries.length === 0) return [];
  const needed = new Set<string>();
  for (const [image, { signature }] of images) {
    signal.throwIfAborted();
    const key = keys.signature(image);
    if (gone.has(image) || !signature.includes(key)) continue;
    const layers = await layersOf(store, key);
    // the layers of a damaged image are unknown, so any summary may be needed
    if (!layers) return [];
    for (const { diffID } of layers) needed.add(keys.layer(diffID));
  }
  return summaries.filter((key) => !needed.has(key));
}

/** Reads only the beginning of a signature. Undefined for a damaged one. */
async function layersOf(store: Store, key: string) {
  try {
    return (await readSignatureImage(await store.open(key), `${store.where} ${key}`)).layers;
  } catch (error) {
    if (!(error instanceof PanamaxError)) throw error;
    if (error.kind === 'not-found') return [];
    if (error.kind === 'bad-input') return undefined;
    throw error;
  }
}
