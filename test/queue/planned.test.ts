/** Jobs that somebody else has put into Redis: a worker does only what the plan of a run names. */
import assert from 'node:assert/strict';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createAllowlist, parseAllowed } from '../../lib/image/allowlist.ts';
import { parseDigest } from '../../lib/digest.ts';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { items } from '../../lib/run/request.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { scopeOf } from '../../lib/pairing/ranking.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { makeReleases, objectsOf } from '../support/backfill.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { writeLayout } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { writeTar } from '../support/tar.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

const signature = (reference: string) => ({ item: items.signature(reference), reference });

const accepts = async (allowed: readonly string[], reference: string) =>
  createAllowlist(allowed)(reference).then(
    () => true,
    (error: { kind: string }) => {
      assert.equal(error.kind, 'usage');
      return false;
    },
  );

describe('jobs in Redis', { skip: missing('redis-server') }, () => {
  test('are refused unless the plan of their run names them', async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const store = await openDirectoryStore(join(directory, 'store'));
    await startLocalWorker(t, { redis: redis.url, store, directory });
    const options = { redis: redis.url, retryFailed: false, dryRun: false };
    await enqueue(planOf(directory, ['a1', 'a2']), store, options);
    const before = await finishedRun(store, 'run');
    assert.deepEqual(before.failures, []);
    const objects = await objectsOf(directory);
    const records = await readdir(join(directory, 'store', 'runs'), { recursive: true });

    const path = join(directory, 'secret');
    const secret = await writeLayout(path, [writeTar([{ path: 'secret', content: Buffer.from('secret') }])]);
    const registry = await startFront(t, { port: 1 }, (_, response) => {
      response.writeHead(500).end();
      return true;
    });
    const remote = `docker://${registry.host}/team/app:1`;
    const manifest = parseDigest(secret.manifestDigest, 'manifest');
    const known = signature(join(directory, 'a1'));
    const pairing = (target: object, scope: string) => ({
      item: items.pairing(manifest, scope),
      target,
      scope,
    });
    const scope = scopeOf([manifest], false);
    const bad = {
      signature: [
        { run: 'run', ...signature(`oci:${path}`) },
        { run: 'run', ...signature(remote) },
        // the item of an image of the run
        { run: 'run', ...signature(`oci:${path}`), item: known.item },
        { run: 'another', ...known },
      ],
      pairing: [
        { run: 'run', ...pairing({ manifest, reference: `oci:${path}` }, scope) },
        { run: 'run', ...pairing({ manifest, reference: join(directory, 'a1') }, scope) },
        { run: 'another', ...pairing({ manifest, reference: remote }, scope) },
      ],
      delta: [
        { run: 'run', item: items.delta(manifest, manifest), ranking: known.item },
        { run: 'another', item: items.delta(manifest, manifest), ranking: known.item },
      ],
    } as const;
    const connection = await connectProducer(redis.url, store);
    const queues = openQueues(connection);
    try {
      for (const queue of ['signature', 'pairing', 'delta'] as const) {
        await queues.add(
          queue,
          bad[queue].map((data, i) => ({ id: `bad.${i}`, data })),
        );
        await until(
          async () => (await queues.counts())[queue],
          ({ failed }) => failed === bad[queue].length,
        );
        for (const i of bad[queue].keys()) {
          const reason = await queues.failureOf(queue, `bad.${i}`);
          assert.match(reason!, /^bad-input: the job is not in the plan of its run/, `${queue} ${i}`);
        }
      }
    } finally {
      await queues.close();
      connection.redis.disconnect();
    }
    assert.deepEqual(registry.seen, []);
    assert.deepEqual(await objectsOf(directory), objects);
    assert.deepEqual(await readdir(join(directory, 'store', 'runs'), { recursive: true }), records);
  });

  test('fail if the worker may not read the image', async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const store = await openDirectoryStore(join(directory, 'store'));
    const checkReference = createAllowlist([join(directory, 'a1')]);
    await startLocalWorker(t, { redis: redis.url, store, directory, checkReference });
    const options = { redis: redis.url, retryFailed: false, dryRun: false };
    await enqueue(planOf(directory, ['a1', 'a2']), store, options);
    const { failures, stages } = await finishedRun(store, 'run');
    assert.equal(stages.signature.done, 1);
    assert.deepEqual(
      failures.map(({ error }) => error.kind),
      ['usage'],
    );
    assert.match(
      failures[0]!.error.message,
      /this worker may not read the image: expected --allow .*a1, found .*a2/,
    );
  });
});

test('an allow-list has transports and roots, which symlinks and dots do not leave', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  for (const name of ['images', 'images-2', 'elsewhere']) {
    await mkdir(path(name));
    await writeLayout(path(`${name}/app`), [writeTar([])]);
  }
  await symlink(path('elsewhere/app'), path('images/link'));
  const root = path('images');
  for (const allow of [root, `${root}/`, `oci:${root}`]) {
    for (const reference of [`oci:${root}/app:tag`, `${root}/app`, `oci:${root}/none`]) {
      assert.equal(await accepts([allow], reference), true, `${allow} ${reference}`);
    }
    for (const reference of [
      `oci:${path('images-2/app')}`,
      `oci:${root}/../elsewhere/app`,
      `${root}/../elsewhere/app`,
      `oci:${root}/link`,
      `${root}/link`,
      'oci:/',
      'docker://registry.example/team/app',
      'docker-daemon:app',
    ]) {
      assert.equal(await accepts([allow], reference), false, `${allow} ${reference}`);
    }
  }
  assert.equal(await accepts([`oci-archive:${root}`], `oci:${root}/app`), false);
  assert.equal(await accepts([`docker-archive:${root}`], `${root}/app`), false);

  const team = ['docker://registry.example:5000/team'];
  assert.equal(await accepts(team, 'docker://registry.example:5000/team/app:1'), true);
  for (const reference of [
    'docker://registry.example:5000/team-2/app',
    'docker://registry.example/team/app',
    'docker://registry.example:5000.evil.example/team/app',
    `oci:${root}/app`,
  ]) {
    assert.equal(await accepts(team, reference), false, reference);
  }
  assert.equal(await accepts(['docker://'], 'docker://nginx'), true);
  assert.equal(await accepts(['docker://docker.io/library'], 'docker://nginx'), true);
  assert.equal(await accepts(['docker-daemon:'], 'docker-daemon:app:1'), true);
  assert.equal(await accepts(['docker-daemon:'], 'containerd:app:1'), false);
  for (const text of ['images', 'oci:images', 'docker:registry.example', 'ftp://host', '']) {
    assert.throws(() => parseAllowed(text), { kind: 'usage' }, text);
  }
});
