/** Watching a repository of a real registry: each image that is pushed is queued once. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { loadRequest } from '../../lib/run/record.ts';
import { panamaxFails, panamaxWith } from '../support/commands.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { startRegistry } from '../support/registry.ts';
import { releaseLayers } from '../support/releases.ts';
import { skopeoPush } from '../support/skopeo.ts';

test(
  'watch queues each push after its first look once, from the releases before',
  { skip: missing('docker-registry', 'redis-server', 'skopeo') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const [registry, redis] = [await startRegistry(t), await startRedis(t)];
    const repository = `${registry.host}/team/app`;
    const push = async (release: number, tag: string) => {
      const path = join(directory, String(release));
      const { manifestDigest } = await writeLayout(path, releaseLayers(1, release));
      await skopeoPush(`oci:${path}:latest`, `${repository}:${tag}`);
      return manifestDigest;
    };
    const location = join(directory, 'store');
    const env = { ...process.env, REGISTRY_INSECURE: registry.host };
    const watch = async (...options: string[]) => {
      const places = ['--store', location, '--redis', redis.url];
      const args = ['watch', `docker://${repository}`, '--once', '--force', ...options, ...places];
      const { code, stdout, stderr } = await panamaxWith(env, ...args);
      assert.equal(code, 0, stderr);
      return stdout.trim().split('\n').filter(Boolean);
    };
    assert.match((await watch()).join(), /: 0 tags are known/);

    await push(1, '1.0');
    const [first] = await watch();
    assert.match(first!, /app:1\.0@sha256:[0-9a-f]{64}: queued as run app-1\.0-[0-9a-f]{12}$/);
    const second = await push(2, '1.1');
    await push(2, 'latest');
    await push(3, 'nightly');
    const lines = await watch('--tags', '1.*', '--priority', 'high');
    assert.deepEqual(lines, [
      `docker://${repository}:1.1@${second}: queued as run app-1.1-${second.slice(7, 19)}`,
    ]);
    const store = await openDirectoryStore(location);
    const request = await loadRequest(store, `app-1.1-${second.slice(7, 19)}`);
    assert.deepEqual([request.priority, request.forward], ['high', true]);
    assert.ok(
      request.residents[0]!.images.some((image) => image.includes('app:1.0')),
      JSON.stringify(request),
    );
    assert.deepEqual(await watch('--tags', '1.*'), []);

    // a tag that is no version may move
    const before = await watch('--tags', 'nightly');
    const moved = await push(4, 'nightly');
    assert.equal(before.length, 1);
    assert.deepEqual(await watch('--tags', 'nightly'), [
      `docker://${repository}:nightly@${moved}: queued as run app-nightly-${moved.slice(7, 19)}`,
    ]);

    const key = join(location, 'watched', `${repository.replace(':', '=')}.json`);
    await writeFile(key, '{"version":1}');
    const damaged = ['watch', `docker://${repository}`, '--once', '--store', location, '--redis', redis.url];
    const { code, stderr } = await panamaxWith(env, ...damaged);
    assert.equal(code, 3, stderr);
    await panamaxFails(
      'usage',
      /not a repository/,
      'watch',
      `docker://${repository}:1.0`,
      ...damaged.slice(2),
    );
  },
);
