import type { Digest } from '../../../lib/digest.ts';

/** Of many allowed sources the similarity index chooses those that are compared; lost entries are restored. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeCatalogue, sketchOfItems } from '../../../bench/catalogue.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { createForest, createMemoryStorage, type IndexedImage } from '../../../lib/pairing/forest.ts';
import { scopeOf, type Ranking } from '../../../lib/pairing/ranking.ts';
import { sketchSimilarity } from '../../../lib/pairing/signature/imagesketch.ts';
import { connectProducer } from '../../../lib/queue/connection.ts';
import { redisForest } from '../../../lib/queue/similarity.ts';
import { createLayerCache } from '../../../workers/resources/layercache.ts';
import { createMemory } from '../../../workers/resources/memory.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { serializeSignature } from '../../../lib/pairing/signature/stored.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import type { Store } from '../../../lib/store/objects/store.ts';
import { MOST_COMPARED, pairingStage } from '../../../workers/pairing/stage.ts';
import { mostSimilar, rebuildIndex } from '../../../workers/pairing/similar.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { missing } from '../../support/programs.ts';
import { startRedis } from '../../support/redis.ts';
import { writeRelease } from '../../support/releases.ts';
import { atEnd } from '../../support/scope.ts';

test('finds the nearest of many sources with a full, partial or empty index', async (t) => {
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

/** Images of four families, whose layers are shared by none: more than a ranking compares. */
async function signMany(t: TestContext, store: Store): Promise<Digest[]> {
  const directory = await temporaryDirectory(t);
  const manifests: Digest[] = [];
  for (let i = 0; i < MOST_COMPARED + 8; i++) {
    await writeRelease(join(directory, `${i}`), i % 4, i);
    const image = await openImage({ transport: 'oci', path: join(directory, `${i}`) }, { limits });
    const signature = await computeSignature(image, limits);
    await store.put(keys.signature(image.manifestDigest), await serializeSignature(signature));
    manifests.push(image.manifestDigest);
  }
  return manifests;
}

test('both drivers compare the same sources out of many', { skip: missing('redis-server') }, async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  const [target, ...sources] = (await signMany(t, store)) as [Digest, ...Digest[]];
  const { url } = await startRedis(t);
  const connection = await connectProducer(url, store);
  atEnd(t, () => connection.redis.disconnect());
  const signal = new AbortController().signal;
  const rankings: Ranking[] = [];
  for (const storage of [createMemoryStorage(), redisForest(connection)]) {
    const similar = await rebuildIndex(createForest(storage), store, signal);
    await using layers = createLayerCache(join(directory, 'layers'), 1e9);
    const shared = { layers, memory: createMemory(8 * 1024 ** 3), similar, log: { info() {}, warn() {} } };
    const context = { store, signal, limits, scratch: directory, ...shared };
    const { status, ...ranking } = await pairingStage({ target, sources }, context);
    assert.equal(status, 'done');
    rankings.push(ranking);
    await store.remove(keys.pairing(target, scopeOf(sources)));
  }
  assert.deepEqual(rankings[0], rankings[1]);
  const { candidates } = rankings[0]!;
  assert.equal(candidates.length, MOST_COMPARED);
  const family = sources.filter((_, i) => (i + 1) % 4 === 0);
  const nearest = candidates.slice(0, family.length).map(({ source }) => source);
  assert.deepEqual(nearest.toSorted(), family.toSorted());
});
