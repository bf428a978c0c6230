/**
 * The whole system: Docker builds two releases and pushes them to a registry; they are enqueued; workers write patches
 * to an S3 server; `panamax pull` brings the second release to a site whose engine has the first. The bytes of this
 * pull and of a plain pull are counted on the wire.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineTransport } from '../../lib/image/oci/transport.ts';
import { buildRelease } from '../support/builds.ts';
import { fileScope } from '../support/scope.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { startDocker } from '../support/engine.ts';
import { panamaxWith } from '../support/panamax.ts';
import { PLANT_PROGRAMS, startPlant, type Plant } from '../support/plant.ts';
import { missing, notRoot } from '../support/programs.ts';
import { noS3 } from '../support/s3.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';

const skip = missing('dockerd', 'docker', 'busybox', ...PLANT_PROGRAMS) || noS3() || notRoot();
const scope = fileScope();

interface Delivery {
  readonly plant: Plant;
  /** Of both releases. */
  readonly names: readonly [string, string];
  readonly imageID: string;
  /** Digest of the second release's manifest in the registry. */
  readonly manifest: string;
}

async function deliver(): Promise<Delivery> {
  const plant = await startPlant(scope);
  const directory = await temporaryDirectory(scope);
  const docker = await startDocker(scope);
  const names = [1, 2].map((release) => `${plant.registry}/team/app:${release}`) as [string, string];
  for (const [i, name] of names.entries()) {
    await buildRelease(docker.command, join(directory, String(i)), i === 0 ? 1 : 2, name);
    await docker.command('push', '-q', name);
  }
  const imageID = await docker.command('image', 'inspect', '--format', '{{.Id}}', names[1]);
  await plant.makePatches([`docker://${names[1]}`], '--sources', `docker://${names[0]}`);
  const url = `http://${plant.registry}/v2/team/app/manifests/2`;
  const accept = 'application/vnd.docker.distribution.manifest.v2+json';
  const { headers } = await fetch(url, { method: 'HEAD', headers: { accept } });
  return { plant, names, imageID, manifest: headers.get('docker-content-digest')! };
}

const delivery = skip ? (undefined as never) : await deliver();

for (const [name, engine] of Object.entries(SITE_ENGINES)) {
  const transport = name as EngineTransport;
  test(
    `pull brings a release from the registry to ${transport} by a patch`,
    { skip: skip || missing(...engine.programs) },
    async (t) => {
      const { plant, names, imageID, manifest } = delivery;
      const [first, second] = names;
      const directory = await temporaryDirectory(t);
      const site = await engine.start(t);
      await engine.pull(site, first);

      const [registryBefore, storeBefore] = [plant.registryLine.received, plant.storeLine.received];
      const place = ['--state', join(directory, 'state'), '--scratch', join(directory, 'scratch')];
      const options = ['--engine', transport, '--store', plant.store, '--no-fallback', '--json', ...place];
      const env = { ...site.env, ...plant.environment };
      const { code, stdout, stderr } = await panamaxWith(env, 'pull', second, ...options);
      assert.equal(code, 0, stderr);
      const { method, movedBytes, pullBytes, keepsManifest } = JSON.parse(stdout) as {
        method: string;
        keepsManifest: boolean;
        movedBytes: number;
        pullBytes: number;
      };
      assert.equal(method, 'patch');
      const moved = plant.storeLine.received - storeBefore;
      assert.equal(plant.registryLine.received, registryBefore);
      assert.equal(await engine.imageID(site, second), imageID);
      // Docker's layers were compressed by Go: all but Docker itself have the manifest of the registry, too
      assert.equal(keepsManifest, engine.manifest !== undefined);
      if (engine.manifest) assert.equal(await engine.manifest(site, second), manifest);
      assert.equal(await engine.run(site, second), 'release 2');
      assert.equal(await engine.run(site, first), 'release 1');

      // the bytes of a plain pull at a site that has the first release
      await engine.remove(site, second);
      await engine.pull(site, second);
      const pulled = plant.registryLine.received - registryBefore;

      // a pull by digest
      const pinned = `${second.replace(/:2$/, '')}@${manifest}`;
      await engine.remove(site, second);
      const again = await panamaxWith(env, 'pull', pinned, ...options);
      assert.equal(again.code, 0, again.stderr);
      const name = engine.manifest ? pinned : pinned.replace('@sha256:', ':sha256-');
      assert.equal(await engine.run(site, name), 'release 2');
      const before = plant.registryLine.received;
      await engine.pull(site, pinned);
      assert.ok(plant.registryLine.received - before < 20_000, 'a pull of the digest moves no layer');
      assert.equal(await engine.run(site, pinned), 'release 2');
      t.diagnostic(`${moved} bytes on the wire, of ${pulled} that a pull moves`);
      assert.ok(moved < 0.05 * pulled, `${moved} of ${pulled}`);
      // both match the reported bytes, apart from headers and documents of the protocols
      assert.ok(movedBytes <= moved && moved < movedBytes + 20_000, `${movedBytes} of ${moved}`);
      assert.ok(pullBytes <= pulled && pulled < pullBytes + 20_000, `${pullBytes} of ${pulled}`);
    },
  );
}
