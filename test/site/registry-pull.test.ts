/** `panamax pull` without a store: patches beside the image in its registry, found by the referrers API or by tags. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { writeChunks } from '../../lib/runtime/file.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { openImage } from '../../lib/image/open.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { fileScope } from '../support/scope.ts';
import { snapshot } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { panamax, panamaxFails, panamaxJson } from '../support/commands.ts';
import { startPanamax } from '../support/panamax.ts';
import { digestOf } from '../support/layout.ts';
import { findProgram, missing } from '../support/programs.ts';
import { pushReleases, type Pushed } from '../support/pushed.ts';
import { startReferrersRegistry, startRegistry } from '../support/registry.ts';
import { startProxy } from '../support/proxy.ts';
import { skopeoConfig } from '../support/skopeo.ts';
import { until } from '../support/worker.ts';

interface Outcome {
  readonly method: string;
  readonly movedBytes: number;
  readonly pullBytes: number;
  readonly patch: { readonly offer: { readonly format: string }; readonly before: readonly unknown[] };
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
  describe(`pull from a registry, ${how}`, { skip: missing(program, 'skopeo') }, () => {
    for (const format of ['xdelta', 'oci-delta']) {
      test(`finds and applies patches of format ${format}`, async (t) => {
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
          paths.some((path) => /\/manifests\/sha256-[0-9a-f]{64}$/.test(path)),
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

for (const [how, { program, start }] of Object.entries(REGISTRIES)) {
  test(
    `pull applies two patches in order at a site two releases behind, ${how}`,
    { skip: missing(program, 'skopeo') },
    async (t) => {
      const made = await pushReleases(t, await startFront(t, await start(t), () => false), { count: 3 });
      await panamax('keygen', join(made.directory, 'owner'));
      const sign = ['--sign', join(made.directory, 'owner.key')];
      const key = ['--verify-key', join(made.directory, 'owner.pub')];
      // each release has a patch from the release before it only
      for (const release of [2, 3]) await made.publishFrom(release, release - 1, ...sign);
      const pull = (...more: string[]) =>
        panamaxJson<Outcome>('pull', `${made.name}:3`, ...siteOf(made), ...key, ...more);
      for (const dryRun of [['--dry-run'], []]) {
        const { method, patch, movedBytes, pullBytes } = await pull(...dryRun);
        assert.equal(method, 'patch');
        assert.equal(patch.before.length, 1);
        assert.ok(movedBytes < 0.05 * pullBytes, `${movedBytes} of ${pullBytes}`);
      }
      assert.equal(await skopeoConfig(`oci:${made.directory}/out:new`), made.images[2]!.configDigest);
      assert.deepEqual(await readdir(join(made.directory, 'state', 'partial')), []);
      // without the image between there is no chain
      await made.remove(2);
      await panamaxFails('no-patch', /none of|no patch/, 'pull', `${made.name}:3`, ...siteOf(made), ...key);
    },
  );
}

describe('a killed pull from a registry', { skip: missing('docker-registry', 'skopeo') }, () => {
  for (const format of ['xdelta', 'oci-delta']) {
    test(`continues its download of format ${format}`, async (t) => {
      const front = await startFront(t, await startRegistry(t), () => false);
      const proxy = await startProxy(t, { port: Number(front.host.split(':')[1]) });
      const made = await pushReleases(t, { host: `127.0.0.1:${proxy.port}` }, { format });
      await made.publish(2);
      const args = ['pull', `${made.name}:2`, ...siteOf(made)];
      proxy.setFault({ kind: 'slow', rate: 20_000 });
      const child = startPanamax(args);
      child.stdout.resume();
      child.stderr.resume();
      const closed = once(child, 'close');
      const partial = join(made.directory, 'state', 'partial');
      const largest = async () => {
        const names = await readdir(partial).catch(() => []);
        return Math.max(0, ...(await Promise.all(names.map((name) => sizeOf(join(partial, name))))));
      };
      await until(largest, (size) => size > 2000);
      process.kill(-child.pid!, 'SIGKILL');
      await closed;
      const kept = new Map<string, number>();
      for (const name of await readdir(partial)) {
        const digest = /sha256-([0-9a-f]{64})\.part$/.exec(name)?.[1];
        kept.set(`/blobs/sha256:${digest}`, await sizeOf(join(partial, name)));
      }
      assert.deepEqual(await snapshot(join(made.directory, 'out')), {});
      proxy.setFault();
      const before = front.seen.length;
      const outcome = await panamaxJson<Outcome>(...args);
      assert.equal(outcome.method, 'patch');
      // complete blobs are not requested, others from the kept byte on, except for documents
      const again = front.seen.slice(before);
      const large = [...kept].filter(([, size]) => size > 2000);
      assert.ok(large.length > 0);
      for (const [path, size] of large) {
        const ranges = again.filter((seen) => seen.path.endsWith(path)).map(({ range }) => range);
        assert.ok(
          ranges.every((range) => range === `bytes=${size}-`),
          `${path} ${ranges.join()}`,
        );
      }
      assert.equal(await skopeoConfig(`oci:${made.directory}/out:new`), made.images[1]!.configDigest);
      assert.deepEqual(await readdir(partial), []);
      assert.deepEqual(await readdir(join(made.directory, 'scratch')), []);
    });
  }
});

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

const scope = fileScope();

describe(
  'pull from a registry with a trusted key',
  { skip: missing('docker-registry', 'skopeo') },
  async () => {
    const registry = missing('docker-registry') ? (undefined as never) : await startRegistry(scope);

    for (const format of ['xdelta', 'oci-delta']) {
      test(`accepts signed patches of format ${format}, and no others`, async (t) => {
        const made = await pushReleases(t, await startFront(t, registry, () => false), { format });
        const path = (name: string) => join(made.directory, name);
        for (const key of ['owner', 'other']) await panamax('keygen', path(key));
        const options = [...siteOf(made), '--verify-key', path('owner.pub')];
        const name = `${made.name}:2`;
        const digest = `${made.name}@${made.images[1]!.manifestDigest}`;
        // neither by name nor by digest
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

    test('refuses a tag that was moved without its owner', async (t) => {
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
      // another user with push rights moves the tag back
      await made.push(2, 'stable');
      await panamaxFails('untrusted', /an older image under the name/, 'pull', stable, ...options);
      // or to an image that is signed for another tag only
      await made.publish(1, ...sign);
      await made.push(1, 'stable');
      await panamaxFails(
        'untrusted',
        /nobody has signed what the tag stands for/,
        'pull',
        stable,
        ...options,
      );
      // the owner may move it back
      await made.push(2, 'stable');
      await made.publish('stable', ...sign);
      assert.equal((await panamaxJson<Outcome>('pull', stable, ...options)).method, 'patch');
    });
  },
);

/** Finds the oci-delta beside an image by the distribution specification alone, without panamax. */
async function findDelta(host: string, target: string): Promise<string> {
  const base = `http://${host}/v2/team/app`;
  const found = await fetch(`${base}/referrers/${target}`);
  const accept = 'application/vnd.oci.image.index.v1+json';
  const answer = found.ok
    ? found
    : await fetch(`${base}/manifests/${target.replace(':', '-')}`, { headers: { accept } });
  const { manifests } = (await answer.json()) as { manifests: { digest: string }[] };
  const deltas: string[] = [];
  // some registries list artifacts under the media type of their config
  for (const { digest } of manifests) {
    const manifest = await fetch(`${base}/manifests/${digest}`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    const { artifactType } = (await manifest.json()) as { artifactType: string };
    if (artifactType === 'application/vnd.io.github.containers.oci-delta.v1') deltas.push(digest);
  }
  assert.equal(deltas.length, 1);
  return deltas[0]!;
}

for (const [how, { program, start }] of Object.entries(REGISTRIES)) {
  const skip = missing(program, 'skopeo', 'oci-delta-judge', 'tar');
  test(`the oci-delta crate applies a published oci-delta, found ${how}`, { skip }, async (t) => {
    const registry = await start(t);
    const made = await pushReleases(t, registry, { format: 'oci-delta' });
    await made.publish(2);
    const path = (name: string) => join(made.directory, name);
    const [source, target] = made.images;
    const artifact = await findDelta(registry.host, target!.manifestDigest);
    const from = `docker://${registry.host}/team/app@${artifact}`;
    const copy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--src-tls-verify=false'];
    execFileSync('skopeo', [...copy, from, `oci:${path('delta')}`]);
    await mkdir(path('root'));
    const image = await openImage(await parseReference(path('1')), { limits: DEFAULT_LIMITS });
    for (const [i, layer] of image.layers.entries()) {
      await writeChunks(path(`${i}.tar`), layer.tar());
      execFileSync('tar', ['xf', path(`${i}.tar`), '-C', path('root')]);
    }
    const args = ['artifact', path('delta'), path('root'), path('layers')];
    const said = execFileSync(findProgram('oci-delta-judge')!, args).toString();
    assert.equal(said, `${target!.manifestDigest}\n${source!.configDigest}\n`);
    const rebuilt = await readdir(path('layers'));
    assert.ok(rebuilt.length > 0);
    for (const name of rebuilt) {
      assert.ok(target!.diffIDs.includes(`sha256:${name}`));
      assert.equal(digestOf(await readFile(path(`layers/${name}`))), `sha256:${name}`);
    }
  });
}

test(
  'pull uses an oci-delta of another program unless keys are trusted',
  { skip: missing('docker-registry', 'skopeo') },
  async (t) => {
    const registry = await startRegistry(t);
    const made = await pushReleases(t, registry, { format: 'oci-delta' });
    await made.publish(2);
    // like `oci-delta push`, without a descriptor beside it
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
    await panamaxFails('untrusted', /unsigned oci-delta patch/, 'pull', digest, ...siteOf(made), ...key);
    const outcome = await panamaxJson<Outcome>('pull', `${made.name}:2`, ...siteOf(made));
    assert.equal(outcome.method, 'patch');
    assert.equal(await skopeoConfig(`oci:${made.directory}/out:new`), made.images[1]!.configDigest);
  },
);

test(
  'refuses an oci-delta whose digest differs from its descriptor',
  { skip: missing('docker-registry', 'skopeo') },
  async (t) => {
    const registry = await startRegistry(t);
    const made = await pushReleases(t, registry, { format: 'oci-delta' });
    await made.publish(2);
    const base = `http://${registry.host}/v2/team/app`;
    const tag = made.images[1]!.manifestDigest.replace(':', '-');
    interface Manifest {
      readonly config: { readonly digest: string };
      readonly manifests: readonly { readonly artifactType: string; readonly digest: string }[];
    }
    const read = async (reference: string, type: string) =>
      (await (
        await fetch(`${base}/manifests/${reference}`, { headers: { accept: type } })
      ).json()) as Manifest;
    const write = async (reference: string, type: string, body: string) => {
      const { status } = await fetch(`${base}/manifests/${reference}`, {
        method: 'PUT',
        body,
        headers: { 'content-type': type },
      });
      assert.equal(status, 201);
    };
    const [MANIFEST, INDEX] = ['manifest', 'index'].map(
      (kind) => `application/vnd.oci.image.${kind}.v1+json`,
    );

    // the descriptor names another digest than that of the artifact's archive
    const index = await read(tag, INDEX!);
    const entry = index.manifests.find(({ artifactType }) => artifactType.includes('panamax'))!;
    const manifest = await read(entry.digest, MANIFEST!);
    const text = await (await fetch(`${base}/blobs/${manifest.config.digest}`)).text();
    const { patch } = JSON.parse(text) as { patch: { digest: string } };
    const changed = Buffer.from(text.replace(patch.digest, `sha256:${'0'.repeat(64)}`));
    const upload = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(upload.headers.get('location')!, base);
    location.searchParams.set('digest', digestOf(changed));
    assert.equal((await fetch(location, { method: 'PUT', body: changed })).status, 201);
    const document = JSON.stringify({
      ...manifest,
      config: { ...manifest.config, digest: digestOf(changed) },
    });
    const digest = digestOf(Buffer.from(document));
    await write(digest, MANIFEST!, document);
    const manifests = index.manifests.map((one) => (one === entry ? { ...one, digest } : one));
    await write(tag, INDEX!, JSON.stringify({ ...index, manifests }));

    const pull = ['pull', `${made.name}:2`, ...siteOf(made)] as const;
    await panamaxFails('bad-patch', /not the one that its descriptor names/, ...pull);
    assert.deepEqual(await snapshot(join(made.directory, 'out')), {});
    assert.deepEqual(await readdir(join(made.directory, 'state', 'partial')), []);
  },
);
