import type { Digest } from '../lib/oci/descriptor.ts';
import { parseDigest } from '../lib/oci/descriptor.ts';
import { sketchOf, SKETCH_SIZE, sketchSimilarity, type ImageSketch } from '../lib/pairing/sketch.ts';
import { keys } from '../lib/store/layout.ts';
import type { Store } from '../lib/store/store.ts';
import { loadSignature } from './signature.ts';

/** A sketch never changes: each is read once by a process. */
const loaded = new WeakMap<Store, Map<Digest, ImageSketch>>();

/** The sketch of an image whose signature is stored; made of that where it is not there yet. @throws PanamaxError `not-found` */
export async function loadSketch(store: Store, manifest: Digest): Promise<ImageSketch> {
  let known = loaded.get(store);
  if (!known) loaded.set(store, (known = new Map()));
  const one = known.get(manifest);
  if (one) return one;
  const key = keys.sketch(manifest);
  let sketch = await store.get(key);
  if (sketch?.length !== SKETCH_SIZE) {
    sketch = sketchOf(await loadSignature(store, manifest));
    await store.put(key, sketch);
  }
  known.set(manifest, sketch);
  return sketch;
}

/** The `count` of the images that have most in common with the target. */
export async function mostSimilar(
  store: Store,
  target: Digest,
  images: readonly Digest[],
  count: number,
): Promise<Digest[]> {
  const wanted = await loadSketch(store, target);
  const scored: { manifest: Digest; similarity: number }[] = [];
  for (const manifest of images) {
    scored.push({ manifest, similarity: sketchSimilarity(wanted, await loadSketch(store, manifest)) });
  }
  return scored
    .sort((a, b) => b.similarity - a.similarity || (a.manifest < b.manifest ? -1 : 1))
    .slice(0, count)
    .map(({ manifest }) => manifest);
}

/** All images that the store has a signature of. */
export async function* listImages(store: Store): AsyncGenerator<Digest, void, void> {
  for await (const key of store.list(keys.signatures)) {
    const name = /sha256-([0-9a-f]{64})\.json\.zst$/.exec(key);
    if (name) yield parseDigest(`sha256:${name[1]!}`, `${store.where} ${key}`);
  }
}
