/** panamax pull without a store: by patches beside the image in its registry, found by the referrers API or by tags. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileScope } from './support/daemon.ts';
import { snapshot } from './support/directory.ts';
import { startFront } from './support/front.ts';
import { panamax, panamaxFails, panamaxJson } from './support/panamax.ts';
import { missing } from './support/programs.ts';
import { pushReleases, type Pushed } from './support/pushed.ts';
import { startReferrersRegistry, startRegistry } from './support/registry.ts';
import { skopeoConfig } from './support/skopeo.ts';

interface Outcome {
  readonly method: string;
  readonly movedBytes: number;
  readonly pullBytes: number;
  readonly patch: { readonly offer: { readonly format: string } };
}

const siteOf = ({ directory, site, name }: Pushed) => {
  const [host] = name.split('/');
  const images = ['--source', join(directory, '1'), '--output', `oci:${directory}/out:new`];
  return [...site, '--engine', 'none', ...images, '--insecure-registry', host!];
};

const REGISTRIES = {
  'by tags': { program: 'docker-registry', start: startRegistry },
  'by the referrers API': { program: 'referrers-registry', start: startReferrersRegistry },
} as const;

for (const [how, { program, start }] of Object.entries(REGISTRIES)) {
  describe(`patches beside the image, ${how}`, { skip: missing(program, 'skopeo') }, () => {
    for (const format of ['xdelta', 'oci-delta']) {
      test(format, async (t) => {
        const front = await startFront(t, await start(t), () => false);
        const made = await pushReleases(t, front, { format });
        await panamaxFails(
          'no-patch',
          /the registry has no patch/,
          'pull',
          `${made.name}:2`,
          ...siteOf(made),
        );
        await made.publish(2);
        const before = front.seen.length;
        const outcome = await panamaxJson<Outcome>('pull', `${made.name}:2`, ...siteOf(made));
        assert.equal(outcome.method, 'patch');
        assert.equal(outcome.patch.offer.format, format);
        assert.ok(outcome.movedBytes < 0.05 * outcome.pullBytes, `${outcome.movedBytes}`);
        const output = `oci:${made.directory}/out:new`;
        assert.equal(await skopeoConfig(output), made.images[1]!.configDigest);
        const paths = front.seen.slice(before).map(({ path }) => path);
        assert.ok(paths.some((path) => path.includes('/referrers/sha256:')));
        assert.equal(
          paths.some((path) => path.includes('/manifests/sha256-')),
          how === 'by tags',
        );
        assert.deepEqual(await readdir(join(made.directory, 'state', 'partial')), []);
        const digest = `${made.name}@${made.images[1]!.manifestDigest}`;
        assert.equal(
          (await panamaxJson<Outcome>('pull', digest, ...siteOf(made), '--dry-run')).method,
          'patch',
        );
      });
    }
  });
}

const scope = fileScope();

describe('where keys are trusted', { skip: missing('docker-registry', 'skopeo') }, async () => {
  const registry = missing('docker-registry') ? (undefined as never) : await startRegistry(scope);

  for (const format of ['xdelta', 'oci-delta']) {
    test(`what is signed is taken, and nothing else: ${format}`, async (t) => {
      const made = await pushReleases(t, await startFront(t, registry, () => false), { format });
      const path = (name: string) => join(made.directory, name);
      for (const key of ['owner', 'other']) await panamax('keygen', path(key));
      const options = [...siteOf(made), '--verify-key', path('owner.pub')];
      const name = `${made.name}:2`;
      const digest = `${made.name}@${made.images[1]!.manifestDigest}`;
      // not by name, and not by digest
      await made.publish(2);
      await panamaxFails(
        'untrusted',
        /nobody has signed what the tag stands for|not signed/,
        'pull',
        name,
        ...options,
      );
      await panamaxFails('untrusted', /not signed by a key that is trusted/, 'pull', digest, ...options);
      await made.publish(2, '--sign', path('other.key'));
      await panamaxFails('untrusted', /not signed by a key that is trusted/, 'pull', name, ...options);
      await panamaxFails('untrusted', /not signed by a key that is trusted/, 'pull', digest, ...options);
      assert.deepEqual(await snapshot(path('out')), {});
      await made.publish(2, '--sign', path('owner.key'));
      for (const signed of [name, digest]) {
        assert.equal((await panamaxJson<Outcome>('pull', signed, ...options)).method, 'patch');
      }
    });
  }

  test('an old release under a tag, or one that its owner has not put there', async (t) => {
    const made = await pushReleases(t, await startFront(t, registry, () => false), { count: 3 });
    const path = (name: string) => join(made.directory, name);
    await panamax('keygen', path('owner'));
    const sign = ['--sign', path('owner.key')];
    const options = [...siteOf(made), '--verify-key', path('owner.pub')];
    const stable = `${made.name}:stable`;
    for (const release of [2, 3]) {
      await made.push(release, 'stable');
      await made.publish('stable', ...sign);
    }
    await panamaxJson<Outcome>('pull', stable, ...options);
    // somebody who may push moves the tag back
    await made.push(2, 'stable');
    await panamaxFails('untrusted', /an older image under the name/, 'pull', stable, ...options);
    // or to what was signed under another tag alone
    await made.publish(1, ...sign);
    await made.push(1, 'stable');
    await panamaxFails('untrusted', /nobody has signed what the tag stands for/, 'pull', stable, ...options);
    // the owner may
    await made.push(2, 'stable');
    await made.publish('stable', ...sign);
    assert.equal((await panamaxJson<Outcome>('pull', stable, ...options)).method, 'patch');
  });
});

test('an oci-delta of others', { skip: missing('docker-registry', 'skopeo') }, async (t) => {
  const registry = await startRegistry(t);
  const made = await pushReleases(t, registry, { format: 'oci-delta' });
  await made.publish(2);
  // as `oci-delta push` leaves it: no descriptor beside it
  const target = made.images[1]!.manifestDigest;
  const url = `http://${registry.host}/v2/team/app/manifests/${target.replace(':', '-')}`;
  const type = 'application/vnd.oci.image.index.v1+json';
  const index = (await (await fetch(url, { headers: { accept: type } })).json()) as {
    manifests: { artifactType: string }[];
  };
  const manifests = index.manifests.filter(({ artifactType }) => !artifactType.includes('panamax'));
  assert.equal(manifests.length, 1);
  const body = JSON.stringify({ ...index, manifests });
  assert.equal((await fetch(url, { method: 'PUT', body, headers: { 'content-type': type } })).status, 201);
  await panamax('keygen', join(made.directory, 'owner'));
  const key = ['--verify-key', join(made.directory, 'owner.pub')];
  const digest = `${made.name}@${target}`;
  await panamaxFails(
    'untrusted',
    /an oci-delta that nobody has signed/,
    'pull',
    digest,
    ...siteOf(made),
    ...key,
  );
  const outcome = await panamaxJson<Outcome>('pull', `${made.name}:2`, ...siteOf(made));
  assert.equal(outcome.method, 'patch');
  assert.equal(await skopeoConfig(`oci:${made.directory}/out:new`), made.images[1]!.configDigest);
});
