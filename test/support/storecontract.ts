/** The contract of `Store` as tests that every kind of store passes. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import type { Store } from '../../lib/store/objects/store.ts';
import { temporaryDirectory } from './directory.ts';
import { createRandom } from './random.ts';

/** Opens a new, empty store. */
export type OpenStore = (t: TestContext) => Promise<Store>;

const text = (content: string) => Buffer.from(content);

async function keysOf(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys;
}

export function describeStore(name: string, openStore: OpenStore, skip: string | false = false): void {
  describe(`store: ${name}`, { skip }, () => {
    test('what is put is got, whole or in pieces', async (t) => {
      const store = await openStore(t);
      for (const size of [0, 1, 70_000, 700_000]) {
        const bytes = createRandom(size).bytes(size);
        await store.put(`a/${size}.json`, bytes);
        assert.ok((await store.get(`a/${size}.json`))!.equals(bytes));
        assert.ok((await buffer(await store.open(`a/${size}.json`))).equals(bytes));
        const { size: found, modified } = (await store.stat(`a/${size}.json`))!;
        assert.equal(found, size);
        // servers round to whole seconds
        assert.ok(Math.abs(modified.getTime() - Date.now()) < 600_000, String(modified));
      }
    });

    test('a list begins behind a key', async (t) => {
      const store = await openStore(t);
      const keys = ['a/b', 'a/b-c/d', 'a/b.c/d', 'a/c/d', 'a/c/e', 'a/d'];
      for (const key of keys) await store.put(key, text(key));
      const sorted = keys.toSorted();
      for (const after of [...sorted, 'a', 'a/c', 'a/c0', 'a/c/d/e', 'b']) {
        const found = await Array.fromAsync(store.list('a/', after));
        assert.deepEqual(
          found,
          sorted.filter((key) => key > after),
          after,
        );
      }
    });

    test('what was not put is not there', async (t) => {
      const store = await openStore(t);
      await store.put('a/b/c', text('c'));
      // the prefix of a key is not an object
      for (const key of ['none', 'a', 'a/b', 'a/b/d', 'a/b/c.json']) {
        assert.equal(await store.get(key), undefined, key);
        assert.equal(await store.stat(key), undefined, key);
        await assert.rejects(async () => buffer(await store.open(key)), { kind: 'not-found' }, key);
      }
      assert.deepEqual(await keysOf(store, 'none/'), []);
    });

    test('a put replaces', async (t) => {
      const store = await openStore(t);
      await store.put('a/b', text('long before'));
      const early = await store.open('a/b');
      await store.put('a/b', text('now'));
      assert.equal(String(await store.get('a/b')), 'now');
      // a reader gets the old or the new object
      assert.match(String(await buffer(early)), /^(long before|now)$/);
      assert.deepEqual(await keysOf(store, 'a/'), ['a/b']);
    });

    test('a file is put, also a large one', async (t) => {
      const store = await openStore(t);
      const path = join(await temporaryDirectory(t), 'file');
      const block = createRandom(7).bytes(1024 ** 2);
      for (const blocks of [0, 1, 40]) {
        const content = Buffer.concat(Array.from({ length: blocks }, () => block));
        await writeFile(path, content);
        await store.putFile('files/one', path);
        assert.equal((await store.stat('files/one'))?.size, content.length);
        assert.ok((await buffer(await store.open('files/one'))).equals(content));
      }
      await writeFile(path, 'the store has its own');
      assert.equal((await store.stat('files/one'))?.size, 40 * block.length);
    });

    test('a file that is not there leaves what was', async (t) => {
      const store = await openStore(t);
      await store.put('a/b', text('before'));
      for (const key of ['a/b', 'a/c']) await assert.rejects(store.putFile(key, '/none/file'));
      assert.equal(String(await store.get('a/b')), 'before');
      assert.deepEqual(await keysOf(store, 'a/'), ['a/b']);
    });

    test('a removed object is gone, twice too', async (t) => {
      const store = await openStore(t);
      for (const key of ['a/b', 'a/c']) await store.put(key, text(key));
      await store.remove('a/b');
      await store.remove('a/b');
      await store.remove('none/at/all');
      assert.equal(await store.get('a/b'), undefined);
      assert.deepEqual(await keysOf(store, 'a/'), ['a/c']);
    });

    test('keys are listed in bytewise order, those under the prefix alone', async (t) => {
      const store = await openStore(t);
      const keys = ['p/a-b/c', 'p/a.b', 'p/a/z', 'p/aB', 'p/b/c/d', 'p/b/c/e', 'p/b=', 'pp/a', 'q'];
      for (const key of keys.toReversed()) await store.put(key, text(key));
      assert.deepEqual(
        await keysOf(store, 'p/'),
        keys.filter((key) => key.startsWith('p/')),
      );
      assert.deepEqual(await keysOf(store, 'p/b/'), ['p/b/c/d', 'p/b/c/e']);
      assert.deepEqual(await keysOf(store, 'p/b/c/d/'), []);
    });

    test('many keys', async (t) => {
      const store = await openStore(t);
      const keys = Array.from({ length: 1200 }, (_, i) => `many/${String(i).padStart(5, '0')}`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map((key) => store.put(key, text(key))));
      }
      assert.deepEqual(await keysOf(store, 'many/'), keys);
    });

    test('keys that lead elsewhere are refused', async (t) => {
      const store = await openStore(t);
      for (const key of [
        '',
        '/',
        '/etc/passwd',
        '../a',
        'a/../b',
        'a/..',
        './a',
        'a//b',
        'a/',
        '.tmp/a',
        'a\0',
        'a b',
        'a\n',
      ]) {
        await assert.rejects(
          async () => store.put(key, text('x')),
          { kind: 'internal' },
          JSON.stringify(key),
        );
        await assert.rejects(async () => store.putFile(key, '/dev/null'), { kind: 'internal' });
        await assert.rejects(async () => store.get(key), { kind: 'internal' });
        await assert.rejects(async () => store.stat(key), { kind: 'internal' });
        await assert.rejects(async () => store.open(key), { kind: 'internal' });
        await assert.rejects(async () => store.remove(key), { kind: 'internal' });
      }
      for (const prefix of ['', '/', '../', 'a/../', '.tmp/', 'a']) {
        await assert.rejects(keysOf(store, prefix), { kind: 'internal' }, JSON.stringify(prefix));
      }
    });

    test('of writers of one key at once, one wins whole', async (t) => {
      const store = await openStore(t);
      const path = join(await temporaryDirectory(t), 'file');
      const contents = Array.from({ length: 12 }, (_, i) => Buffer.alloc(100_000 + i, i));
      await writeFile(path, contents[0]!);
      const isWhole = (bytes: Buffer) => contents.some((content) => content.equals(bytes));
      const read = async () => {
        for (let i = 0; i < 50; i++) {
          const bytes = await store.get('a/b');
          assert.ok(bytes === undefined || isWhole(bytes), 'torn');
        }
      };
      await Promise.all([
        read(),
        ...contents.slice(1).map((content) => store.put('a/b', content)),
        ...Array.from({ length: 4 }, () => store.putFile('a/b', path)),
      ]);
      assert.ok(isWhole((await store.get('a/b'))!));
      assert.deepEqual(await keysOf(store, 'a/'), ['a/b']);
    });

    test('readers and removers at once', async (t) => {
      const store = await openStore(t);
      for (let round = 0; round < 20; round++) {
        await store.put('a/b', text('x'));
        const [bytes, size] = await Promise.all([
          store.get('a/b'),
          store.stat('a/b'),
          store.remove('a/b'),
          keysOf(store, 'a/'),
        ]);
        assert.ok(bytes === undefined || String(bytes) === 'x');
        assert.ok(size === undefined || size.size === 1);
      }
    });

    test('a document that is too large is not read', async (t) => {
      const store = await openStore(t);
      const path = join(await temporaryDirectory(t), 'file');
      await writeFile(path, Buffer.alloc(64 * 1024 ** 2 + 1));
      await store.putFile('a/large', path);
      await assert.rejects(store.get('a/large'), {
        kind: 'limit',
        message: /expected at most 67108864 bytes, found 67108865/,
      });
    });
  });
}
