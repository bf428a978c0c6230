import { type Digest, parseDigest } from '../../lib/digest.ts';
import type { SimilarityIndex } from '../../lib/pairing/forest.ts';
import {
  imageSketchOf,
  SKETCH_SIZE,
  sketchSimilarity,
  type ImageSketch,
} from '../../lib/pairing/signature/imagesketch.ts';
import { keys } from '../../lib/store/keys.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { loadSignature } from '../signature/load.ts';

/** Sketches never change, so a process reads each once. */
const loaded = new WeakMap<Store, Map<Digest, ImageSketch>>();

/** The sketch of an image; made from its stored signature if it is missing. @throws PanamaxError `not-found` */
export async function loadSketch(store: Store, manifest: Digest): Promise<ImageSketch> {
  let known = loaded.get(store);
  if (!known) loaded.set(store, (known = new Map()));
  const one = known.get(manifest);
  if (one) return one;
  const key = keys.sketch(manifest);
  let sketch = await store.get(key);
  if (sketch?.length !== SKETCH_SIZE) {
    sketch = imageSketchOf(await loadSignature(store, manifest));
    await store.put(key, sketch);
  }
  known.set(manifest, sketch);
  return sketch;
}

/** Images per request to the index. */
const BATCH = 500;

/**
 * The `count` images that are most similar to the target. If the index finds too few, because they have little in common
 * with the target or the index is incomplete, all sketches are compared.
 */
export async function mostSimilar(
  { store, similar }: { readonly store: Store; readonly similar: SimilarityIndex },
  target: Digest,
  images: readonly Digest[],
  count: number,
): Promise<Digest[]> {
  const wanted = await loadSketch(store, target);
  const found = await similar.nearest(wanted, count, images);
  if (found.length >= Math.min(count, images.length)) return found.map(({ manifest }) => manifest);
  const scored: { manifest: Digest; similarity: number }[] = [];
  for (let at = 0; at < images.length; at += BATCH) {
    const batch = images.slice(at, at + BATCH);
    const known = await similar.sketches(batch);
    const lost = [];
    for (const [i, manifest] of batch.entries()) {
      const sketch = known[i] ?? (await loadSketch(store, manifest));
      if (!known[i]) lost.push({ manifest, sketch });
      scored.push({ manifest, similarity: sketchSimilarity(wanted, sketch) });
    }
    await similar.add(lost);
  }
  return scored
    .sort((a, b) => b.similarity - a.similarity || (a.manifest < b.manifest ? -1 : 1))
    .slice(0, count)
    .map(({ manifest }) => manifest);
}

/** Makes the index hold exactly the images with a signature in the store. */
export async function rebuildIndex(
  index: SimilarityIndex,
  store: Store,
  signal: AbortSignal,
): Promise<SimilarityIndex> {
  const gone = new Set<Digest>(await Array.fromAsync(index.list()));
  let batch = [];
  for await (const manifest of listImages(store)) {
    signal.throwIfAborted();
    gone.delete(manifest);
    batch.push({ manifest, sketch: await loadSketch(store, manifest) });
    if (batch.length < BATCH) continue;
    await index.add(batch);
    batch = [];
  }
  await index.add(batch);
  for (const manifest of gone) await index.remove(manifest);
  return index;
}

/** All images with a signature in the store. */
export async function* listImages(store: Store): AsyncGenerator<Digest, void, void> {
  for await (const key of store.list(keys.signatures)) {
    const name = /sha256-([0-9a-f]{64})\.columns$/.exec(key);
    if (name) yield parseDigest(`sha256:${name[1]!}`, `${store.where} ${key}`);
  }
}
