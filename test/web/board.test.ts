/** Bull Board of a worker: its pages, its titles, and changes by those who show a secret. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { serveBoard } from '../../lib/web/board.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { LOCK_SETTINGS, startQueueWorker } from '../../lib/queue/worker.ts';
import { createSecrets } from '../../lib/runtime/http/secret.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { createJobTitles } from '../../lib/web/jobtitles.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { makeReleases } from '../support/backfill.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { panamaxFails } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

test('the board shows the queues and is read-only', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  const connection = await connectProducer(redis.url, { name: 'store' });
  atEnd(t, () => connection.redis.disconnect());
  const queues = openQueues(connection);
  await queues.add('delta', [{ id: 'run.item', data: { run: 'run', item: 'item' } }]);
  await using board = await serveBoard(await connectProducer(redis.url, { name: 'store' }), {
    listen: LOOPBACK,
    titleOf: async () => undefined,
  });
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${board.port}${path}`, { method });
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  };

  const page = await get('/');
  assert.equal(page.status, 200);
  assert.match(page.text, /<title>panamax<\/title>/);
  // nothing of it comes from elsewhere, and all of it is there
  assert.doesNotMatch(page.text, /<%|(src|href)="https?:/);
  const parts = [...page.text.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, path]) => `/${path!}`);
  assert.ok(parts.length >= 5);
  for (const path of parts) {
    const { status, type } = await get(path);
    assert.ok(status === 200 && type !== 'application/octet-stream', path);
  }
  assert.equal((await get('/queue/delta')).text, page.text);

  const { text } = await get('/api/queues?activeQueue=delta&status=waiting&page=1');
  const shown = JSON.parse(text) as {
    queues: { name: string; counts: Record<string, number>; jobs: { id: string }[]; readOnlyMode: boolean }[];
  };
  assert.deepEqual(shown.queues.map(({ name }) => name).toSorted(), ['delta', 'pairing', 'run', 'signature']);
  const delta = shown.queues.find(({ name }) => name === 'delta')!;
  assert.equal(delta.counts['waiting'], 1);
  assert.deepEqual(
    delta.jobs.map(({ id }) => id),
    ['run.item'],
  );
  assert.ok(shown.queues.every(({ readOnlyMode }) => readOnlyMode));

  for (const path of [
    '/static/../index.ejs',
    '/static/%2e%2e/index.ejs',
    '/etc/passwd',
    '/queue/%ff',
    '/__proto__',
  ]) {
    assert.equal((await get(path)).status, 404, path);
  }
  assert.equal((await get('/api/queues/delta/empty', 'PUT')).status, 405);
  assert.deepEqual(await queues.states('delta', ['run.item']), ['queued']);

  const directory = await temporaryDirectory(t);
  const options = ['worker', '--redis', redis.url, '--store', join(directory, 'store')];
  await panamaxFails('usage', /--board: expected \[HOST:\]PORT/, ...options, '--board', 'here');
  const scratch = ['--scratch', join(directory, 'scratch')];
  await panamaxFails('io', /EADDRINUSE/, ...options, ...scratch, '--board', String(board.port));
  await queues.close();
});

test(
  'jobs are shown by their images, their run and their savings',
  { skip: missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const store = await openDirectoryStore(join(directory, 'store'));
    const plan = planOf(directory, ['a2'], { sources: ['a1'], id: 'nightly' });
    await enqueue(plan, store, { redis: redis.url, retryFailed: false, dryRun: false });
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await finishedRun(store, 'nightly');
    // as anyone with access to Redis may write them
    const connection = await connectProducer(redis.url, store);
    atEnd(t, () => connection.redis.disconnect());
    const queues = openQueues(connection);
    const strange = { run: '../nightly', item: 'item' };
    await queues.add('delta', [{ id: 'strange', data: strange }]);

    await using board = await serveBoard(await connectProducer(redis.url, store), {
      listen: LOOPBACK,
      titleOf: createJobTitles(store),
    });
    const titles = async (queue: string) => {
      const page = `api/queues?activeQueue=${queue}&status=latest&page=1`;
      const shown = (await (await fetch(`http://127.0.0.1:${board.port}/${page}`)).json()) as {
        queues: { name: string; jobs: { name: string }[] }[];
      };
      return shown.queues.find(({ name }) => name === queue)!.jobs.map(({ name }) => name);
    };
    const [source, target] = ['a1', 'a2'].map((name) => join(directory, name));
    assert.deepEqual((await titles('signature')).toSorted(), [`${source} (nightly)`, `${target} (nightly)`]);
    assert.deepEqual(await titles('pairing'), [`${target} (nightly)`]);
    assert.match((await titles('delta')).join('\n'), /a2 from .*a1: \d+\.\d MB saved \(nightly\)/);
    await queues.close();
  },
);

test(
  'a board with a secret retries and removes jobs for those who show it',
  { skip: missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const connection = await connectProducer(redis.url, { name: 'store' });
    atEnd(t, () => connection.redis.disconnect());
    const queues = openQueues(connection);
    atEnd(t, () => queues.close());
    await queues.add('delta', [{ id: 'run.item', data: { run: 'run', item: 'item' } }]);
    const failing = startQueueWorker(
      'delta',
      await connectProducer(redis.url, { name: 'store' }),
      async () => ({ kind: 'failed', message: 'no', final: true }),
      { locks: LOCK_SETTINGS, concurrency: 1, onError: () => {} },
    );
    const states = () => queues.states('delta', ['run.item']);
    await until(states, ([state]) => state === 'failed');
    await failing.stop(0);
    const secret = 'a long enough secret';
    await using board = await serveBoard(await connectProducer(redis.url, { name: 'store' }), {
      listen: LOOPBACK,
      titleOf: async () => undefined,
      secrets: createSecrets([secret]),
    });
    const own = `http://127.0.0.1:${board.port}`;
    const ask = async (path: string, init: { method?: string; secret?: string; origin?: string } = {}) => {
      const { method = 'GET', secret: shown, origin } = init;
      const authorization = shown && { authorization: `Basic ${btoa(`anyone:${shown}`)}` };
      const answer = await fetch(`${own}${path}`, {
        method,
        headers: { ...authorization, ...(origin !== undefined && { origin }) },
      });
      return {
        status: answer.status,
        login: answer.headers.get('www-authenticate'),
        text: await answer.text(),
      };
    };
    const retry = '/api/queues/delta/run.item/retry';

    for (const shown of [undefined, 'another long secret', `${secret} `]) {
      const { status, login } = await ask('/', { ...(shown !== undefined && { secret: shown }) });
      assert.deepEqual([status, login], [401, 'Basic realm="panamax"'], shown);
    }
    assert.equal((await ask(retry, { method: 'PUT' })).status, 401);
    for (const origin of ['https://elsewhere.example', 'null']) {
      assert.equal((await ask(retry, { method: 'PUT', secret, origin })).status, 403, origin);
    }
    assert.deepEqual(await states(), ['failed']);

    const { text } = await ask('/api/queues?activeQueue=delta&status=failed&page=1', { secret });
    const shown = JSON.parse(text) as { queues: { readOnlyMode: boolean }[] };
    assert.ok(shown.queues.every(({ readOnlyMode }) => !readOnlyMode));
    assert.equal((await ask(retry, { method: 'PUT', secret, origin: own })).status, 204);
    assert.deepEqual(await states(), ['queued']);
    assert.equal((await ask('/api/queues/delta/run.item/clean', { method: 'PUT', secret })).status, 204);
    assert.deepEqual(await states(), ['unknown']);
    assert.equal((await ask('/', { method: 'PUT', secret })).status, 404);
  },
);
