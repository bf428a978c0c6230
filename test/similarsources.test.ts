/** Of many allowed sources the similarity index chooses those that are compared; what it has lost comes back. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeCatalogue, sketchOfItems } from '../bench/catalogue.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import { createForest, createMemoryStorage, type IndexedImage } from '../lib/pairing/forest.ts';
import { sketchSimilarity } from '../lib/pairing/sketch.ts';
import { openDirectoryStore } from '../lib/store/directory.ts';
import { keys } from '../lib/store/layout.ts';
import { mostSimilar } from '../workers/sketch.ts';
import { temporaryDirectory } from './support/directory.ts';

test('the nearest of many sources, whatever the index holds', async (t) => {
  const store = await openDirectoryStore(join(await temporaryDirectory(t), 'store'));
  const images: IndexedImage[] = [];
  for (const { manifest, items } of makeCatalogue(300)) {
    const sketch = sketchOfItems(items);
    await store.put(keys.sketch(manifest), sketch);
    images.push({ manifest, sketch });
  }
  const target = images[30]!;
  const allowed = images.filter((_, i) => i % 3 !== 0);
  const expected = (count: number): Digest[] =>
    allowed
      .map(({ manifest, sketch }) => ({ manifest, similarity: sketchSimilarity(target.sketch, sketch) }))
      .sort((a, b) => b.similarity - a.similarity || (a.manifest < b.manifest ? -1 : 1))
      .slice(0, count)
      .map(({ manifest }) => manifest);
  const find = (similar: ReturnType<typeof createForest>, count: number) =>
    mostSimilar(
      { store, similar },
      target.manifest,
      allowed.map(({ manifest }) => manifest),
      count,
    );

  const whole = createForest(createMemoryStorage());
  await whole.add(images);
  const found = await find(whole, 10);
  assert.ok(found.filter((manifest) => expected(10).includes(manifest)).length >= 9, found.join());
  assert.ok(found.every((manifest) => allowed.some((image) => image.manifest === manifest)));

  const empty = createForest(createMemoryStorage());
  assert.deepEqual(await find(empty, 10), expected(10));
  const listed = (await Array.fromAsync(empty.list())).toSorted();
  assert.deepEqual(listed, allowed.map(({ manifest }) => manifest).toSorted());
  assert.deepEqual(await find(empty, allowed.length), expected(allowed.length));
});
