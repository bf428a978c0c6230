/** The store behind a web server: downloads with and without ranges, faults of the network, redirects, encodings. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { openHttpStore } from '../../../lib/store/objects/http.ts';
import { openStore, openStoreReader } from '../../../lib/store/objects/open.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startProxy } from '../../support/proxy.ts';
import { missing } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { atEnd } from '../../support/scope.ts';
import { startWeb, type WebOptions } from '../../support/web.ts';

const QUICK = { attempts: 3, delay: 5 };

async function serve(t: TestContext, options?: WebOptions) {
  const directory = await temporaryDirectory(t);
  const bytes = createRandom(1).bytes(300_000);
  await mkdir(join(directory, 'team', 'a'), { recursive: true });
  await writeFile(join(directory, 'team', 'a', 'b'), bytes);
  return { bytes, web: await startWeb(t, directory, options) };
}

/** Starts python3's HTTP/1.0 server, which closes the connection after each response. */
async function servePython(t: TestContext, directory: string): Promise<string> {
  const args = ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', directory];
  const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = once(child, 'close');
  atEnd(t, async () => {
    child.kill('SIGKILL');
    await closed;
  });
  for await (const line of createInterface(child.stdout)) {
    const port = /port (\d+)/.exec(line)?.[1];
    if (port) return `http://127.0.0.1:${port}`;
  }
  throw new Error('python3 -m http.server has not started');
}

async function listen(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('web server as a store', () => {
  for (const ranges of [true, false]) {
    test(`reads objects ${ranges ? 'with' : 'without'} ranges`, async (t) => {
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

    test(`resumes a download that is cut, ${ranges ? 'with' : 'without'} ranges`, async (t) => {
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

  test('repeats a request after a transient status only', async (t) => {
    const { bytes, web } = await serve(t);
    // one proxy per status, since the proxy only answers new connections itself
    const behind = async (status: number, times: number) => {
      const proxy = await startProxy(t, web);
      proxy.setFault({ kind: 'answer', status, times });
      return openHttpStore(`http://127.0.0.1:${proxy.port}/team`, QUICK);
    };
    assert.ok((await (await behind(503, 2)).get('a/b'))!.equals(bytes));
    const late = await behind(503, 100);
    await assert.rejects(late.get('a/b'), { kind: 'io', message: /503.*team\/a\/b/ });
    // a second request would find the object
    const forbidden = await behind(403, 1);
    await assert.rejects(forbidden.get('a/b'), { kind: 'io', message: /403/ });
  });

  test('fails for a server that refuses connections or stalls', async (t) => {
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

  test('sends the credentials of its URL and shows them in no message', async (t) => {
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

  test('refuses to open a web server for writing', async () => {
    await assert.rejects(openStore('https://cdn.example/store'), { kind: 'usage' });
  });

  test('refuses a missing directory', async (t) => {
    await assert.rejects(openStoreReader(join(await temporaryDirectory(t), 'none')), { kind: 'not-found' });
  });

  test(
    'gives a slow reader all bytes of a server that closes the connection after them',
    { skip: missing('python3') },
    async (t) => {
      const directory = await temporaryDirectory(t);
      const bytes = createRandom(2).bytes(1024 ** 2);
      await writeFile(join(directory, 'object'), bytes);
      const store = openHttpStore(await servePython(t, directory), QUICK);
      const pieces: Uint8Array[] = [];
      for await (const piece of await store.open('object')) {
        pieces.push(piece);
        await delay(60);
      }
      assert.ok(Buffer.concat(pieces).equals(bytes));
      assert.ok(pieces.length > 10, `${pieces.length} pieces`);
    },
  );

  test('does not take a reader that pauses longer than the idle time-out for a stalled server', async (t) => {
    const { bytes, web } = await serve(t);
    const store = openHttpStore(`${web.url}/team`, { ...QUICK, idle: 400 });
    const pieces: Uint8Array[] = [];
    for await (const piece of await store.open('a/b')) {
      pieces.push(piece);
      if (pieces.length < 3) await delay(900);
    }
    assert.ok(Buffer.concat(pieces).equals(bytes));
    assert.equal(web.requests.length, 1, 'one request is enough');
  });

  test('follows redirects and keeps the credentials from other hosts', async (t) => {
    const { bytes, web } = await serve(t);
    const seen: (string | undefined)[] = [];
    const other = await listen(t, ({ url, headers }, response) => {
      seen.push(headers.authorization);
      response.writeHead(301, { location: `${web.url}${url}` }).end();
    });
    const first = await listen(t, ({ url, headers }, response) => {
      seen.push(headers.authorization);
      const location = url!.includes('/circle') ? url! : `${other}${url}`;
      response.writeHead(302, { location, 'content-length': 0 }).end();
    });
    const store = openHttpStore(`${first.replace('//', '//site:secret@')}/team`, QUICK);
    assert.ok((await buffer(await store.open('a/b', 1000))).equals(bytes.subarray(1000)));
    assert.equal(web.requests[0]!.range, 'bytes=1000-');
    assert.deepEqual(seen, [`Basic ${Buffer.from('site:secret').toString('base64')}`, undefined]);
    await assert.rejects(store.get('circle'), { kind: 'io', message: /redirects lead nowhere/ });
  });

  test('decodes a body that the server has compressed unasked', async (t) => {
    const content = createRandom(3).text(200_000);
    const encoded = gzipSync(content);
    const url = await listen(t, (request, response) => {
      const encoding = request.url!.endsWith('unknown') ? 'compress' : 'gzip';
      response.writeHead(200, { 'content-encoding': encoding, 'content-length': encoded.length });
      response.end(encoded);
    });
    const store = openHttpStore(url, QUICK);
    assert.equal(String(await store.get('a')), content);
    assert.equal(String(await buffer(await store.open('a', 70_000))), content.slice(70_000));
    await assert.rejects(store.get('unknown'), { kind: 'io', message: /encoding compress/ });
  });
});
