import type { Digest } from '../../../lib/digest.ts';

/** Patches as referrers of their targets in a registry: published, found, fetched, applied, seen by other tools. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeChunks } from '../../../lib/runtime/file.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { parseRegistryName } from '../../../lib/image/oci/registryname.ts';
import { readNames } from '../../../lib/store/beside/names.ts';
import { readPatches, writePatchArchive } from '../../../lib/store/beside/patches.ts';
import { listReferrers } from '../../../lib/image/registry/referrers.ts';
import { openRepository } from '../../../lib/image/registry/registry.ts';
import { registrySettings } from '../../../lib/image/registry/settings.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import type { Published } from '../../../workers/publish/publish.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startFront } from '../../support/front.ts';
import { panamax, panamaxFails, panamaxJson } from '../../support/commands.ts';
import { startPanamax } from '../../support/panamax.ts';
import { missing } from '../../support/programs.ts';
import { startRedis } from '../../support/redis.ts';
import { startRegistry } from '../../support/registry.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { atEnd } from '../../support/scope.ts';
import { finishedRun } from '../../support/worker.ts';

const run = promisify(execFile);

test(
  'publishes patches that are found, fetched and applied',
  { skip: missing('docker-registry', 'skopeo') },
  async (t) => {
    const registry = await startRegistry(t);
    const front = await startFront(t, registry, () => false);
    const directory = await temporaryDirectory(t);
    const file = (name: string) => join(directory, name);
    const policy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
    const layouts = [];
    for (const release of [1, 2]) {
      layouts.push(await writeRelease(file(String(release)), 1, release));
      await run('skopeo', [
        ...policy,
        `oci:${file(String(release))}`,
        `docker://${registry.host}/team/app:${release}`,
      ]);
    }
    const [, target] = layouts.map(({ manifestDigest }) => manifestDigest as Digest);
    const name = `docker://${front.host}/team/app`;
    const options = [
      '--store',
      file('store'),
      '--insecure-registry',
      front.host,
      '--scratch',
      file('scratch'),
    ];
    const formats = ['--sources', `${name}:1`, '--format', 'xdelta,oci-delta', '--effort', 'fast'];
    const backfill = await panamax('backfill', `${name}:2`, ...formats, ...options);
    assert.equal(backfill.code, 0, backfill.stderr);

    const {
      published: [published],
    } = await panamaxJson<{ published: Published[] }>('publish', `${name}:2`, ...options);
    assert.equal(published!.target, target);
    assert.deepEqual(published!.patches.map(({ format }) => format).toSorted(), ['oci-delta', 'xdelta']);
    const writes = () => front.seen.filter(({ method }) => method === 'PUT' || method === 'POST').length;
    const before = writes();
    assert.deepEqual(
      (await panamaxJson<{ published: Published[] }>('publish', `${name}:2`, ...options)).published,
      [published],
    );
    // four manifests again (two patches, a descriptor, a name), but no blobs
    assert.ok(writes() - before <= 4, String(writes() - before));

    const settings = registrySettings({ REGISTRY_INSECURE: front.host });
    const repository = openRepository(parseRegistryName(`${front.host}/team/app`), {
      limits: DEFAULT_LIMITS,
      settings,
    });
    const find = async (image: Digest) =>
      readPatches(repository, image, await listReferrers(repository, image));
    const found = await find(target!);
    assert.deepEqual(found.map(({ format }) => format).toSorted(), ['oci-delta', 'xdelta']);
    for (const patch of found) {
      assert.equal(patch.source.config, layouts[0]!.configDigest);
      assert.equal(patch.source.manifest, layouts[0]!.manifestDigest);
      const path = file(`fetched.${patch.format}`);
      if (patch.format === 'xdelta') await writeChunks(path, repository.openBlob(patch.layers[0]!.digest));
      else await writePatchArchive(repository, patch, path, ({ digest }) => repository.openBlob(digest));
      const suffix = patch.format === 'xdelta' ? 'xdelta' : 'oci-delta.tar';
      const key = `patches/${target!.replace(':', '-')}/${layouts[0]!.manifestDigest.replace(':', '-')}.${suffix}`;
      assert.ok((await readFile(path)).equals(await readFile(join(file('store'), key))), patch.format);
      const applied = await panamax(
        'apply',
        path,
        '-s',
        `${name}:1`,
        '-o',
        `oci:${file(patch.format)}`,
        ...options.slice(2),
      );
      assert.equal(applied.code, 0, applied.stderr);
      const image = await openImage(await parseReference(file(patch.format)), { limits: DEFAULT_LIMITS });
      assert.equal(image.configDigest, layouts[1]!.configDigest);
      for (const [i, layer] of image.layers.entries()) {
        assert.ok((await buffer(layer.tar())).equals(releaseLayers(1, 2)[i]!));
      }
    }
    // another tool reads the artifact by its digest
    for (const { artifact } of published!.patches) {
      const { stdout } = await run('skopeo', [
        'inspect',
        '--raw',
        '--tls-verify=false',
        `docker://${registry.host}/team/app@${artifact}`,
      ]);
      assert.equal((JSON.parse(stdout) as { subject: { digest: string } }).subject.digest, target);
    }
    assert.deepEqual(await find(layouts[0]!.manifestDigest as Digest), []);
    await panamaxFails(
      'not-found',
      /^panamax publish: no patches to publish: .*app:1\n$/,
      'publish',
      `${name}:1`,
      ...options,
    );
    await panamaxFails('usage', /no image of a registry/, 'publish', file('2'), ...options);
  },
);

const noQueue = missing('docker-registry', 'skopeo', 'htpasswd', 'redis-server');

test('a run on the queue publishes its patches', { skip: noQueue }, async (t) => {
  const account = { user: 'worker', password: 'of the worker' };
  const { host } = await startRegistry(t, account);
  const redis = await startRedis(t);
  const directory = await temporaryDirectory(t);
  const file = (name: string) => join(directory, name);
  const copy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
  const creds = ['--dest-creds', `${account.user}:${account.password}`];
  const name = `docker://${host}/team/app`;
  const layouts = [];
  for (const release of [1, 2, 3]) {
    layouts.push(await writeRelease(file(String(release)), 1, release));
    await run('skopeo', [...copy, ...creds, `oci:${file(String(release))}`, `${name}:${release}`]);
  }
  await panamax('keygen', file('owner'));
  const auth = Buffer.from(`${account.user}:${account.password}`).toString('base64');
  await writeFile(file('config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
  const queue = ['--redis', redis.url, '--store', file('store')];
  // the producer has no account
  const question = [`${name}:3`, '--sources', `${name}:1`, file('2'), '--top', '2', '--effort', 'fast'];
  const enqueue = [
    'enqueue',
    ...question,
    '--format',
    'xdelta,oci-delta',
    '--publish',
    '--unchecked',
    '--run',
    'run',
    ...queue,
  ];
  assert.equal((await panamaxJson<{ run: string }>(...enqueue)).run, 'run');
  const env = { ...process.env, DOCKER_CONFIG: directory };
  const scratch = ['--scratch', file('scratch'), '--insecure-registry', host];
  const args = ['worker', 'all', '-j', '3', '--sign', file('owner.key'), '--log-level', 'warn'];
  const worker = startPanamax([...args, ...queue, ...scratch], env);
  worker.stdout.resume();
  worker.stderr.resume();
  const closed = once(worker, 'close');
  atEnd(t, async () => {
    worker.kill('SIGKILL');
    await closed;
  });
  const { failures } = await finishedRun(await openDirectoryStore(file('store')), 'run');
  assert.deepEqual(failures, []);
  const repository = openRepository(parseRegistryName(`${host}/team/app`), {
    limits: DEFAULT_LIMITS,
    settings: { ...registrySettings({ REGISTRY_INSECURE: host }), dockerConfig: directory },
  });
  const target = layouts[2]!.manifestDigest as Digest;
  const referrers = await listReferrers(repository, target);
  const found = await readPatches(repository, target, referrers);
  const sources = layouts.slice(0, 2).map(({ manifestDigest }) => manifestDigest);
  assert.deepEqual(
    found.map(({ format, source }) => `${format} ${source.manifest}`).toSorted(),
    ['oci-delta', 'xdelta'].flatMap((format) => sources.map((source) => `${format} ${source}`)).toSorted(),
  );
  const [record] = await readNames(repository, target, referrers);
  assert.equal(record!.name, `${host}/team/app:3`);
  assert.ok(record!.signature && found.every(({ pair }) => pair?.signature));
});
