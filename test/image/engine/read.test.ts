/** Docker loads images that panamax rebuilds, and panamax reads images that Docker saves. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startEngine } from '../../support/engine.ts';
import { writeLayout } from '../../support/layout.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { missing, notRoot } from '../../support/programs.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { skopeoManifest } from '../../support/skopeo.ts';

test(
  'docker loads rebuilt images and saves sources',
  { skip: missing('dockerd', 'docker', 'skopeo') || notRoot() },
  async (t) => {
    const docker = await startEngine(t);
    const directory = await temporaryDirectory(t);
    const file = (name: string) => join(directory, name);
    await writeRelease(file('1'), 1, 1);
    const second = await writeRelease(file('2'), 1, 2);
    await makePatch(file('1'), file('2'), file('patch'));

    await applyPatch(
      file('patch'),
      file('1'),
      `docker-archive:${file('2.tar')}:registry.example:5000/team/app:2`,
    );
    assert.match(
      await docker('load', '-i', file('2.tar')),
      /Loaded image: registry\.example:5000\/team\/app:2/,
    );
    const id = await docker('inspect', '--format', '{{.Id}}', 'registry.example:5000/team/app:2');
    assert.equal(id, second.configDigest);
    const layers = await docker('inspect', '--format', '{{json .RootFS.Layers}}', id);
    assert.deepEqual(JSON.parse(layers), second.diffIDs);

    // without a tag, and without a name
    for (const [name, loaded] of [
      [':short', /Loaded image: short:latest/],
      ['', /Loaded image ID: sha256:/],
    ] as const) {
      await applyPatch(file('patch'), file('1'), `docker-archive:${file('named.tar')}${name}`);
      assert.match(await docker('load', '-i', file('named.tar')), loaded);
    }

    // an image that the engine saved is a source; a duplicate layer is in it once
    await docker('save', '-o', file('saved.tar'), 'registry.example:5000/team/app:2');
    const saved = await openImage(await parseReference(file('saved.tar')), { limits: DEFAULT_LIMITS });
    assert.equal(saved.configDigest, second.configDigest);
    assert.equal(saved.manifestDigest, await skopeoManifest(`docker-archive:${file('saved.tar')}`));
    for (const [i, layer] of saved.layers.entries()) {
      assert.ok((await buffer(layer.tar())).equals(releaseLayers(1, 2)[i]!));
    }
    const twice = [...releaseLayers(1, 3), ...releaseLayers(1, 3)];
    const third = await writeLayout(file('3'), twice);
    await makePatch(file('saved.tar'), file('3'), file('patch-3'));
    await applyPatch(
      file('patch-3'),
      `docker-archive:${file('saved.tar')}`,
      `docker-archive:${file('3.tar')}:app:3`,
    );
    await docker('load', '-i', file('3.tar'));
    assert.equal(await docker('inspect', '--format', '{{.Id}}', 'app:3'), third.configDigest);
    await docker('save', '-o', file('both.tar'), 'app:3', 'short:latest');
    for (const [name, config] of [
      ['app:3', third.configDigest],
      ['short', second.configDigest],
    ] as const) {
      const reference = `docker-archive:${file('both.tar')}:${name}`;
      const image = await openImage(await parseReference(reference), { limits: DEFAULT_LIMITS });
      assert.equal(image.configDigest, config);
      for (const layer of image.layers) await buffer(layer.tar());
    }
  },
);
