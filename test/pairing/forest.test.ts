/** The similarity index, in memory and in Redis. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { makeCatalogue, sketchOfItems, trueSimilarity, type MadeImage } from '../../bench/catalogue.ts';
import { createForest, createMemoryStorage, type ForestStorage } from '../../lib/pairing/forest.ts';
import { sketchSimilarity } from '../../lib/pairing/signature/imagesketch.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { redisForest } from '../../lib/queue/similarity.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';

const CATALOGUE = [...makeCatalogue(2000)].map((image) => ({ ...image, sketch: sketchOfItems(image.items) }));

function trueNearest({ manifest, items }: MadeImage, count: number): string[] {
  return CATALOGUE.filter((image) => image.manifest !== manifest)
    .map((image) => ({ manifest: image.manifest, similarity: trueSimilarity(items, image.items) }))
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, count)
    .map((image) => image.manifest);
}

function suite(open: (t: TestContext) => Promise<ForestStorage>): void {
  test('finds the images that are truly most similar', async (t) => {
    const index = createForest(await open(t));
    for (let at = 0; at < CATALOGUE.length; at += 500) await index.add(CATALOGUE.slice(at, at + 500));
    let found = 0;
    const queries = CATALOGUE.filter((_, i) => i % 100 === 3);
    for (const query of queries) {
      const neighbours = await index.nearest(query.sketch, 64);
      assert.equal(neighbours[0]!.similarity, 1);
      assert.ok(neighbours.length <= 64);
      const got = new Set<string>(neighbours.map(({ manifest }) => manifest));
      found += trueNearest(query, 10).filter((manifest) => got.has(manifest)).length;
    }
    assert.ok(found / queries.length / 10 >= 0.95, `${found} of ${queries.length * 10}`);
  });

  test('finds the nearest of some allowed images, also if they are few or dissimilar', async (t) => {
    const index = createForest(await open(t));
    for (let at = 0; at < CATALOGUE.length; at += 500) await index.add(CATALOGUE.slice(at, at + 500));
    const query = CATALOGUE[3]!;
    const few = CATALOGUE.filter((_, i) => i % 40 === 3).map(({ manifest }) => manifest);
    const among = await index.nearest(query.sketch, 10, few);
    assert.equal(among.length, 10);
    assert.equal(among[0]!.manifest, query.manifest);
    assert.ok(among.every(({ manifest }) => few.includes(manifest)));
    assert.deepEqual(await index.nearest(query.sketch, 10, []), []);
    const known = await index.sketches([few[1]!, query.manifest.replace(/..$/, '__') as `sha256:${string}`]);
    assert.deepEqual(known[0], CATALOGUE[43]!.sketch);
  });

  test('adds, replaces, lists and removes images', async (t) => {
    const index = createForest(await open(t));
    const [a, b, c] = CATALOGUE as [IndexedImage, IndexedImage, IndexedImage];
    type IndexedImage = (typeof CATALOGUE)[number];
    assert.deepEqual(await index.nearest(a.sketch, 5), []);
    await index.add([]);
    await index.add([a, b]);
    await index.add([a, c]);
    const listed = async () => (await Array.fromAsync(index.list())).toSorted();
    assert.deepEqual(await listed(), [a, b, c].map(({ manifest }) => manifest).toSorted());
    const other = CATALOGUE.at(-1)!;
    await index.add([{ manifest: a.manifest, sketch: other.sketch }]);
    assert.deepEqual(await index.nearest(other.sketch, 1), [{ manifest: a.manifest, similarity: 1 }]);
    assert.ok(
      (await index.nearest(a.sketch, 5)).every((one) => one.manifest !== a.manifest || one.similarity < 1),
    );
    await index.remove(b.manifest);
    await index.remove(b.manifest);
    assert.deepEqual(await listed(), [a, c].map(({ manifest }) => manifest).toSorted());
    assert.ok((await index.nearest(b.sketch, 5)).every(({ manifest }) => manifest !== b.manifest));
  });
}

describe('the index in memory', () => suite(async () => createMemoryStorage()));

describe('the index in Redis', { skip: missing('redis-server') }, () => {
  suite(async (t) => {
    const { url } = await startRedis(t);
    const connection = await connectProducer(url, { name: 'store' });
    atEnd(t, () => connection.redis.disconnect());
    return redisForest(connection);
  });
});

test('image sketches estimate the share of bytes in common', () => {
  const [one] = CATALOGUE as [(typeof CATALOGUE)[number]];
  const errors = CATALOGUE.slice(0, 100).map(
    ({ items, sketch }) => sketchSimilarity(one.sketch, sketch) - trueSimilarity(one.items, items),
  );
  assert.ok(Math.abs(errors.reduce((sum, error) => sum + error, 0) / errors.length) < 0.05);
  assert.ok(errors.every((error) => Math.abs(error) < 0.25));
  assert.equal(sketchOfItems(new Map()).length, 256);
});
