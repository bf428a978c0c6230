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
import { loadSignature } from '../signature/stage.ts';

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
    sketch = imageSketchOf(await loadSignature(store, manifest));
    await store.put(key, sketch);
  }
  known.set(manifest, sketch);
  return sketch;
}

/** Images that an index is asked about, or given, at a time. */
const BATCH = 500;

/**
 * The `count` of the images that have most in common with the target. Where the index finds too few of them, since they
 * have little in common with the target, or since it has lost some, all their sketches are compared.
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

/** Makes the index hold the images that the store has a signature of, and no others. */
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

/** All images that the store has a signature of. */
export async function* listImages(store: Store): AsyncGenerator<Digest, void, void> {
  for await (const key of store.list(keys.signatures)) {
    const name = /sha256-([0-9a-f]{64})\.json\.zst$/.exec(key);
    if (name) yield parseDigest(`sha256:${name[1]!}`, `${store.where} ${key}`);
  }
}
