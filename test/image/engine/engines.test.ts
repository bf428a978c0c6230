import { openEngine } from '../../../lib/image/engine/open.ts';

/** Docker, podman and containerd: load, export, list and tag. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { EngineTransport } from '../../../lib/image/oci/transport.ts';
import { EXIT_CODES } from '../../../lib/errors.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { panamaxWith } from '../../support/panamax.ts';
import { missing, notRoot } from '../../support/programs.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { SITE_ENGINES } from '../../support/siteengines.ts';

for (const [name, site] of Object.entries(SITE_ENGINES)) {
  const transport = name as EngineTransport;
  test(
    `${transport} loads, lists, exports and tags images`,
    { skip: missing(...site.programs) || notRoot() },
    async (t) => {
      const { env } = await site.start(t);
      const engine = openEngine(transport, { env });
      assert.deepEqual(await engine.list(), []);
      const directory = await temporaryDirectory(t);
      const file = (name: string) => join(directory, name);
      await writeRelease(file('1'), 1, 1);
      const layout = await writeRelease(file('2'), 1, 2);
      await makePatch(file('1'), file('2'), file('patch'));
      const repository = 'registry.example:5000/team/app';
      await applyPatch(file('patch'), file('1'), `docker-archive:${file('2.tar')}:${repository}:2`);
      await engine.load(file('2.tar'));
      await engine.tag(`${repository}:2`, `${repository}:stable`);

      const [image, ...others] = await engine.list();
      assert.ok(image);
      assert.deepEqual(others, []);
      assert.equal(image.config, layout.configDigest);
      assert.deepEqual(image.diffIDs, layout.diffIDs);
      assert.deepEqual(image.names.toSorted(), [`${repository}:2`, `${repository}:stable`]);

      await engine.tag(image.config, `${repository}:also`);
      for (const [i, reference] of [`${repository}:also`, image.config].entries()) {
        const path = file(`exported-${i}.tar`);
        await engine.export(reference, path);
        const exported = await openImage(await parseReference(path), { limits: DEFAULT_LIMITS });
        assert.equal(exported.configDigest, layout.configDigest);
        for (const [i, layer] of exported.layers.entries()) {
          assert.ok((await buffer(layer.tar())).equals(releaseLayers(1, 2)[i]!));
        }
      }
      await assert.rejects(engine.export(`${repository}:none`, file('none.tar')), { kind: 'not-found' });
      await assert.rejects(engine.load(file('patch')), { kind: 'io' });
      assert.equal((await engine.list()).length, 1);
    },
  );
}

for (const [transport, site] of Object.entries(SITE_ENGINES)) {
  test(
    `apply reads its source from ${transport} and writes its target there`,
    { skip: missing(...site.programs) || notRoot() },
    async (t) => {
      const user = await site.start(t);
      const directory = await temporaryDirectory(t);
      const file = (name: string) => join(directory, name);
      await writeRelease(file('1'), 1, 1);
      const layout = await writeRelease(file('2'), 1, 2);
      const name = 'registry.example:5000/team/app';
      await makePatch(file('2'), file('1'), file('back'));
      await makePatch(file('1'), file('2'), file('patch'));
      await applyPatch(file('back'), file('2'), `docker-archive:${file('1.tar')}:${name}:1`);
      await site.load(user, file('1.tar'));
      const images = ['--source', `${transport}:${name}:1`, '--output', `${transport}:${name}:2`];
      const { code, stderr } = await panamaxWith(
        user.env,
        'apply',
        file('patch'),
        ...images,
        '--scratch',
        file('scratch'),
      );
      assert.equal(code, 0, stderr);
      assert.equal(await site.imageID(user, `${name}:2`), layout.configDigest);
      assert.deepEqual(await readdir(file('scratch')), []);
      const missing = ['--source', `${transport}:${name}:9`, '--output', `oci:${file('out')}`];
      const failed = await panamaxWith(user.env, 'apply', file('patch'), ...missing);
      assert.equal(failed.code, EXIT_CODES['not-found'], failed.stderr);
    },
  );
}

test('openEngine rejects with io if the engine command is missing', async () => {
  const engine = openEngine('docker-daemon', { env: { PATH: '/nonexistent' } });
  await assert.rejects(engine.list(), { kind: 'io', message: /cannot be run/ });
});
