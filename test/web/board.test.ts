/** Bull Board of a worker: its pages, and that it is read-only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { serveBoard } from '../../lib/web/board.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { createJobTitles } from '../../lib/web/jobtitles.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { makeReleases } from '../support/backfill.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { panamaxFails } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { finishedRun, planOf, startLocalWorker } from '../support/worker.ts';

test('the board shows the queues and is read-only', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  const connection = await connectProducer(redis.url, { name: 'store' });
  atEnd(t, () => connection.redis.disconnect());
  const queues = openQueues(connection);
  await queues.add('delta', [{ id: 'run.item', data: { run: 'run', item: 'item' } }]);
  await using board = await serveBoard(
    await connectProducer(redis.url, { name: 'store' }),
    {
      host: '127.0.0.1',
      port: 0,
    },
    async () => undefined,
  );
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

    const listen = { host: '127.0.0.1', port: 0 };
    await using board = await serveBoard(
      await connectProducer(redis.url, store),
      listen,
      createJobTitles(store),
    );
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
