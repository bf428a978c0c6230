/** An image without any patch, whose layers a mirror has in another compression. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { panamaxJson } from '../support/commands.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { writeLayout } from '../support/layout.ts';
import { startMirror } from '../support/mirror.ts';
import { missing } from '../support/programs.ts';
import { startRegistry } from '../support/registry.ts';
import { releaseLayers } from '../support/releases.ts';
import { skopeoCopy, skopeoManifest, skopeoPush } from '../support/skopeo.ts';

interface Publication {
  readonly published: readonly { readonly target: string; readonly patches: readonly { size: number }[] }[];
}

interface Manifest {
  readonly layers: readonly { readonly digest: string }[];
}

test(
  'recipes alone make the compressed layers again from an export of an engine',
  { skip: missing('docker-registry', 'skopeo') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const path = (name: string) => join(directory, name);
    const { manifestDigest } = await writeLayout(path('image'), releaseLayers(1, 1));
    const front = await startFront(t, await startRegistry(t), () => false);
    await skopeoPush(`oci:${path('image')}`, `${front.host}/team/app:1`);
    // as `docker save` writes it: uncompressed layers, another manifest
    await skopeoCopy(
      `oci:${path('image')}`,
      `docker-archive:${path('export.tar')}:registry.example/team/app:1`,
    );

    const publish = ['publish', `docker://${front.host}/team/app:1`, '--insecure-registry', front.host];
    const places = ['--store', path('store'), '--scratch', path('scratch')];
    const { published } = await panamaxJson<Publication>(...publish, ...places, '--recipes');
    assert.equal(published[0]!.target, manifestDigest);
    const [{ size }] = published[0]!.patches as [{ size: number }];
    assert.ok(size < 2500, `${size} bytes`);
    assert.deepEqual(
      (await panamaxJson<Publication>(...publish, ...places, '--recipes')).published,
      published,
    );

    const upstream = ['--upstream', `registry.example=http://${front.host}`];
    const mirror = await startMirror(
      t,
      directory,
      ...upstream,
      '--source',
      `docker-archive:${path('export.tar')}`,
    );
    const since = front.seen.length;
    const copy = `dir:${path('copy')}`;
    await skopeoCopy(`docker://${mirror.host}/registry.example/team/app:1`, copy, '--tls-verify=false');
    assert.equal(await skopeoManifest(copy), manifestDigest);
    const { layers } = JSON.parse(await readFile(join(path('copy'), 'manifest.json'), 'utf8')) as Manifest;
    const asked = front.seen.slice(since).map((request) => request.path);
    for (const { digest } of layers) assert.ok(!asked.some((url) => url.endsWith(digest)), digest);
    assert.ok((await stat(path('export.tar'))).size > 20 * size);
  },
);
