/** The commands index and similar on the similarity index of a store in Redis. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { keys } from '../../lib/store/keys.ts';
import { makeReleases } from '../support/backfill.ts';
import { panamaxFails, panamaxJson } from '../support/commands.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';

interface Images {
  readonly images: readonly `sha256:${string}`[];
}
interface Similar {
  readonly similar: readonly { readonly manifest: string; readonly candidate?: object }[];
}

test(
  'adds, lists and removes images, and rebuilds the index',
  { skip: missing('redis-server') },
  async (t) => {
    const directory = await makeReleases(t, ['a1', 'a2', 'a3', 'b1']);
    const { url } = await startRedis(t);
    const image = (name: string) => join(directory, name);
    const optionsOf = (store: string) => ['--redis', url, '--store', join(directory, store)];
    const index = async (store: string, ...words: string[]) =>
      (await panamaxJson<Images>('index', ...words, ...optionsOf(store))).images;

    assert.deepEqual(await index('store', 'list'), []);
    const added = await index('store', 'add', image('a1'), image('a2'), image('a3'));
    const [a1, a2, a3] = added;
    const [b1] = await index('other', 'add', image('b1'));
    assert.deepEqual(await index('store', 'list'), added.toSorted());
    assert.deepEqual(await index('other', 'list'), [b1], 'two stores in one Redis');

    const similar = (...words: string[]) =>
      panamaxJson<Similar>('similar', image('a1'), ...words, ...optionsOf('store'));
    const found = (await similar('--explain')).similar;
    assert.deepEqual(found.map(({ manifest }) => manifest).toSorted(), [a2!, a3!].toSorted());
    assert.ok(found.every(({ candidate }) => candidate));

    assert.deepEqual(await index('store', 'remove', a2!, image('a3')), [a2, a3]);
    assert.deepEqual(await index('store', 'remove', a2!), [a2]);
    assert.deepEqual(await index('store', 'list'), [a1]);
    assert.deepEqual(await index('store', 'rebuild'), added.toSorted());

    // an image without a signature is dropped from the index when a query finds it
    const store = await openDirectoryStore(join(directory, 'store'));
    await store.remove(keys.signature(a2!));
    const left = (await similar('--explain')).similar;
    assert.deepEqual(
      left.map(({ manifest }) => manifest),
      [a3],
    );
    assert.deepEqual(await index('store', 'list'), [a1!, a3!].toSorted());
    await store.remove(keys.signature(a3!));
    assert.deepEqual(await index('store', 'rebuild'), [a1]);
  },
);

test('refuses an unknown action, a wrong number of images and an unreachable Redis', async () => {
  const usage = /needs ACTION|unknown action, or wrong number of images: expected list, add IMAGE/;
  for (const words of [[], ['drop'], ['add'], ['remove'], ['list', 'x'], ['rebuild', 'x']]) {
    await panamaxFails('usage', usage, 'index', ...words, '--redis', 'redis://127.0.0.1:1');
  }
  await panamaxFails('io', /Redis/, 'index', 'list', '--redis', 'redis://127.0.0.1:1');
});
