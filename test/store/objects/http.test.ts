/** A store behind a web server, read over a network as networks are. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { openHttpStore } from '../../../lib/store/objects/http.ts';
import { openStore, openStoreReader } from '../../../lib/store/objects/open.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startProxy } from '../../support/proxy.ts';
import { createRandom } from '../../support/random.ts';
import { startWeb, type WebOptions } from '../../support/web.ts';

const QUICK = { attempts: 3, delay: 5 };

async function serve(t: TestContext, options?: WebOptions) {
  const directory = await temporaryDirectory(t);
  const bytes = createRandom(1).bytes(300_000);
  await mkdir(join(directory, 'team', 'a'), { recursive: true });
  await writeFile(join(directory, 'team', 'a', 'b'), bytes);
  return { bytes, web: await startWeb(t, directory, options) };
}

describe('web server as a store', () => {
  for (const ranges of [true, false]) {
    test(ranges ? 'with ranges' : 'without ranges', async (t) => {
      const { bytes, web } = await serve(t, { ranges });
      for (const base of [`${web.url}/team`, `${web.url}/team/?key=value#part`]) {
        const store = await openStoreReader(base);
        assert.equal(store.where, `${web.url}/team/`);
        assert.ok((await store.get('a/b'))!.equals(bytes));
        for (const offset of [0, 1, 299_999]) {
          assert.ok((await buffer(await store.open('a/b', offset))).equals(bytes.subarray(offset)));
        }
        assert.equal(await store.get('a/c'), undefined);
        await assert.rejects(store.open('a/c'), { kind: 'not-found', message: /team\/a\/c/ });
      }
    });

    test(`goes on where it was cut, ${ranges ? 'with' : 'without'} ranges`, async (t) => {
      const { bytes, web } = await serve(t, { ranges });
      const proxy = await startProxy(t, web);
      const store = openHttpStore(`http://127.0.0.1:${proxy.port}/team`, QUICK);
      proxy.setFault({ kind: 'cut', direction: 'down', after: 100_000, times: 2 });
      assert.ok((await buffer(await store.open('a/b', 5000))).equals(bytes.subarray(5000)));
      assert.equal(proxy.resets, 2);
      const asked = web.requests.map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]));
      assert.deepEqual(
        asked,
        asked.toSorted((a, b) => a - b),
      );
      assert.ok(asked.at(-1)! > 5000);
    });
  }

  test('answers that say later are asked again, others are not', async (t) => {
    const { bytes, web } = await serve(t);
    // a proxy each: an answer of its own is given to new connections only
    const behind = async (status: number, times: number) => {
      const proxy = await startProxy(t, web);
      proxy.setFault({ kind: 'answer', status, times });
      return openHttpStore(`http://127.0.0.1:${proxy.port}/team`, QUICK);
    };
    assert.ok((await (await behind(503, 2)).get('a/b'))!.equals(bytes));
    // the client may open more connections than it uses
    const late = await behind(503, 100);
    await assert.rejects(late.get('a/b'), { kind: 'io', message: /503.*team\/a\/b/ });
    // asked again it would be there
    const forbidden = await behind(403, 1);
    await assert.rejects(forbidden.get('a/b'), { kind: 'io', message: /403/ });
  });

  test('a server that is not there, or stalls', async (t) => {
    const { web } = await serve(t);
    const proxy = await startProxy(t, web);
    const store = openHttpStore(`http://127.0.0.1:${proxy.port}/team`, { ...QUICK, idle: 200 });
    proxy.setFault({ kind: 'refuse' });
    await assert.rejects(store.get('a/b'), { kind: 'io' });
    proxy.setFault({ kind: 'hang' });
    await assert.rejects(store.get('a/b'), { kind: 'io', message: /no data for 0\.2 s/ });
    const stop = new AbortController();
    const stopped = openHttpStore(`http://127.0.0.1:${proxy.port}/team`, { signal: stop.signal }).get('a/b');
    stop.abort();
    await assert.rejects(stopped, { kind: 'interrupted' });
  });

  test('an account, which no message shows', async (t) => {
    const { bytes, web } = await serve(t, { account: 'site:pass word' });
    const at = (account: string) => `http://${account}@127.0.0.1:${web.port}/team`;
    const store = openHttpStore(at('site:pass%20word'), QUICK);
    assert.ok((await store.get('a/b'))!.equals(bytes));
    assert.doesNotMatch(store.where, /pass/);
    await assert.rejects(openHttpStore(at('site:wrong'), QUICK).get('a/b'), (error: Error) => {
      assert.match(error.message, /401/);
      assert.doesNotMatch(error.message, /wrong/);
      return true;
    });
  });

  test('is only to be read', async () => {
    await assert.rejects(openStore('https://cdn.example/store'), { kind: 'usage' });
  });

  test('a directory that is not there is no empty store', async (t) => {
    await assert.rejects(openStoreReader(join(await temporaryDirectory(t), 'none')), { kind: 'not-found' });
  });
});
