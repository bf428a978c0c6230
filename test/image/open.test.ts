/** Images in layouts and archives of all kinds. Their digests are compared with skopeo's. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { openImage, type Image, type ImageOptions } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configOf, containerdSave, craneSave, dockerSave } from '../support/dockerarchive.ts';
import { digestOf, indexEntry, writeIndex, writeLayout } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { releaseLayers, writeRelease } from '../support/releases.ts';
import { skopeoConfig, skopeoCopy, skopeoManifest } from '../support/skopeo.ts';
import { writeTar } from '../support/tar.ts';

const needsSkopeo = { skip: missing('skopeo') };
const LAYERS = releaseLayers(1, 1);

async function open(reference: string, options: Partial<ImageOptions> = {}): Promise<Image> {
  return openImage(await parseReference(reference), { limits: DEFAULT_LIMITS, ...options });
}

async function assertHolds(image: Image, layers: readonly Buffer[]): Promise<void> {
  assert.equal(image.configDigest, digestOf(image.configBytes));
  assert.equal(image.manifestDigest, digestOf(image.manifestBytes));
  assert.deepEqual(
    image.layers.map((layer) => layer.diffID),
    layers.map(digestOf),
  );
  for (const [i, layer] of image.layers.entries()) {
    assert.ok((await buffer(layer.tar())).equals(layers[i]!), `layer ${i}`);
    assert.equal((await buffer(layer.blob())).length, layer.descriptor.size);
  }
}

async function assertNamedAsBySkopeo(image: Image, reference: string): Promise<void> {
  assert.equal(image.manifestDigest, await skopeoManifest(reference));
  assert.equal(image.configDigest, await skopeoConfig(reference));
}

test(
  'opens the same image from an OCI layout, its archive and its docker archive',
  needsSkopeo,
  async (t) => {
    const directory = await temporaryDirectory(t);
    const layout = await writeRelease(join(directory, 'app'), 1, 1, { tag: 'one' });
    const oci = `oci:${directory}/app:one`;
    for (const reference of [
      `oci-archive:${directory}/oci.tar:one`,
      `docker-archive:${directory}/docker.tar:app:one`,
    ]) {
      await skopeoCopy(oci, reference);
    }
    for (const reference of [
      oci,
      `oci-archive:${directory}/oci.tar:one`,
      `docker-archive:${directory}/docker.tar`,
    ]) {
      const image = await open(reference);
      await assertHolds(image, LAYERS);
      await assertNamedAsBySkopeo(image, reference);
      assert.equal(image.configDigest, layout.configDigest);
      assert.deepEqual(image.platform, { os: 'linux', architecture: 'amd64' });
    }
  },
);

test('detects layouts and archives at plain paths', async (t) => {
  const directory = await temporaryDirectory(t);
  const { manifestDigest } = await writeRelease(join(directory, 'app'), 1, 1);
  assert.equal((await open(join(directory, 'app'))).manifestDigest, manifestDigest);
  const classic = join(directory, 'classic.tar');
  await writeFile(classic, dockerSave({ config: configOf(LAYERS), layers: LAYERS }));
  await assertHolds(await open(classic), LAYERS);
});

const zstdFrames = (layer: Buffer) => {
  const skippable = Buffer.from('502a4d18040000000badcafe', 'hex');
  const half = layer.length >> 1;
  const frames = [layer.subarray(0, half), layer.subarray(half)].map((part) => zstdCompressSync(part));
  return { head: Buffer.concat([skippable, ...frames]), tail: Buffer.concat([...frames, skippable]) };
};

test('reads layers as tar, gzip and zstd, also with several members and frames', needsSkopeo, async (t) => {
  const directory = await temporaryDirectory(t);
  const layers = [...LAYERS, ...releaseLayers(1, 2), ...releaseLayers(1, 3)];
  const [plain, gzip, members, zstd, head, tail] = layers as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
  await writeLayout(directory, layers, {
    compression: ['none', 'gzip', 'gzip', 'zstd', 'zstd', 'zstd'],
    blobs: [
      plain,
      gzipSync(gzip),
      Buffer.concat([0, 5000, 5001, 20_000].map((at, i, all) => gzipSync(members.subarray(at, all[i + 1])))),
      zstdCompressSync(zstd),
      zstdFrames(head).head,
      zstdFrames(tail).tail,
    ],
  });
  const image = await open(`oci:${directory}`);
  await assertHolds(image, layers);
  await assertNamedAsBySkopeo(image, `oci:${directory}:latest`);
});

test('detects the compression of a layer by its bytes, not by its media type', async (t) => {
  const directory = await temporaryDirectory(t);
  const blobs = [zstdCompressSync(LAYERS[0]!), LAYERS[1]!];
  await writeLayout(directory, LAYERS, { compression: ['none', 'gzip'], blobs });
  await assertHolds(await open(`oci:${directory}`), LAYERS);
});

test('chooses an image of an index by platform', needsSkopeo, async (t) => {
  const parent = await temporaryDirectory(t);
  const directory = join(parent, 'multi');
  const [amd, arm, armv7] = [
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 'arm64', variant: 'v8' },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
  ] as const;
  const entries = [];
  for (const [release, platform] of [amd, arm, armv7].entries()) {
    const { architecture } = platform;
    const layout = await writeRelease(directory, 1, release, { architecture });
    entries.push(await indexEntry(directory, layout.manifestDigest, { platform }));
  }
  const index = await writeIndex(directory, entries, { blob: true });
  await writeIndex(directory, [await indexEntry(directory, index, { tag: 'multi', kind: 'index' })]);
  for (const [release, platform] of [amd, arm, armv7].entries()) {
    const image = await open(`oci:${directory}:multi`, { platform });
    assert.equal(image.manifestDigest, entries[release]!.digest);
    const { architecture, variant } = { variant: undefined, ...platform };
    const copy = `oci:${join(parent, architecture)}:one`;
    const chosen = ['--override-arch', architecture, ...(variant ? ['--override-variant', variant] : [])];
    await skopeoCopy(`oci:${directory}:multi`, copy, ...chosen);
    assert.equal(image.manifestDigest, await skopeoManifest(copy));
  }
  // an index in index.json itself, without a requested variant
  await writeIndex(directory, entries);
  const plainArm = await open(`oci:${directory}`, { platform: { os: 'linux', architecture: 'arm64' } });
  assert.equal(plainArm.manifestDigest, entries[1]!.digest);
  const absent = open(`oci:${directory}`, { platform: { os: 'linux', architecture: 's390x' } });
  await assert.rejects(absent, {
    kind: 'not-found',
    message: /expected linux\/s390x, found linux\/amd64, linux\/arm64\/v8/,
  });
});

test('learns platforms from indexes in indexes, down to the third level', async (t) => {
  const directory = await temporaryDirectory(t);
  const architectures = ['arm64', 's390x'];
  const nested = [];
  for (const architecture of architectures) {
    const { manifestDigest } = await writeLayout(directory, LAYERS, { architecture });
    // no entry has a platform
    let entry = await indexEntry(directory, manifestDigest);
    for (let level = 0; level < 2; level++) {
      const index = await writeIndex(directory, [entry], { blob: true });
      entry = await indexEntry(directory, index, { kind: 'index' });
    }
    nested.push({ entry, manifestDigest });
  }
  const top = nested.map(({ entry }) => entry);
  await writeIndex(directory, top);
  const platform = { os: 'linux', architecture: 's390x' };
  assert.equal((await open(`oci:${directory}`, { platform })).manifestDigest, nested[1]!.manifestDigest);
  // deeper ones are not searched, and told
  const deep = [];
  for (const entry of top) {
    const index = await writeIndex(directory, [entry], { blob: true });
    deep.push(await indexEntry(directory, index, { kind: 'index' }));
  }
  await writeIndex(directory, deep);
  const message = new RegExp(`found ${deep[0]!.digest} without a platform`);
  await assert.rejects(open(`oci:${directory}`, { platform }), { kind: 'not-found', message });
});

test('chooses an image of a layout by tag', async (t) => {
  const directory = await temporaryDirectory(t);
  const entries = [];
  for (const tag of ['one', 'two']) {
    const layout = await writeRelease(directory, 1, entries.length, { tag });
    entries.push(await indexEntry(directory, layout.manifestDigest, { tag }));
  }
  await writeIndex(directory, entries);
  for (const [i, tag] of ['one', 'two'].entries()) {
    assert.equal((await open(`oci:${directory}:${tag}`)).manifestDigest, entries[i]!.digest);
    assert.equal((await open(`oci:${directory}:${entries[i]!.digest}`)).manifestDigest, entries[i]!.digest);
  }
  await assert.rejects(open(`oci:${directory}`), { kind: 'usage', message: /several images.*one, two/ });
  await assert.rejects(open(`oci:${directory}:three`), { kind: 'not-found', message: /three.*one, two/ });
});

test('follows symlinks for repeated layers in archives of docker save', needsSkopeo, async (t) => {
  const path = join(await temporaryDirectory(t), 'save.tar');
  const layers = [LAYERS[0]!, LAYERS[1]!, LAYERS[0]!, LAYERS[1]!];
  await writeFile(path, dockerSave({ config: configOf(layers), layers }));
  const image = await open(`docker-archive:${path}:app:1`);
  await assertHolds(image, layers);
  await assertNamedAsBySkopeo(image, `docker-archive:${path}:app:1`);
});

test('decompresses layers of a docker archive', needsSkopeo, async (t) => {
  const path = join(await temporaryDirectory(t), 'crane.tar');
  await writeFile(path, craneSave({ config: configOf(LAYERS), layers: LAYERS }));
  const image = await open(`docker-archive:${path}`);
  await assertHolds(image, LAYERS);
  await assertNamedAsBySkopeo(image, `docker-archive:${path}`);
});

test(
  'opens the image, not its attestation, from an OCI layout in an archive of docker save',
  needsSkopeo,
  async (t) => {
    const directory = await temporaryDirectory(t);
    const layout = await writeRelease(join(directory, 'app'), 1, 1);
    const path = join(directory, 'save.tar');
    await writeFile(path, await containerdSave(join(directory, 'app'), layout));
    for (const reference of [path, `docker-archive:${path}:app:1`, `oci-archive:${path}`]) {
      const image = await open(reference, { platform: { os: 'linux', architecture: 'amd64' } });
      assert.equal(image.manifestDigest, layout.manifestDigest);
      await assertHolds(image, LAYERS);
    }
    assert.equal(layout.configDigest, await skopeoConfig(`docker-archive:${path}`));
  },
);

test('chooses an image of a docker archive by tag or number', needsSkopeo, async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'both.tar');
  const configs = [LAYERS, LAYERS.slice(0, 1)].map(configOf);
  await writeFile(path, bothImages(configs, LAYERS));
  const names = [
    ['app:1', 'docker.io/library/app:1', '@0'],
    ['registry.example:5000/app', 'registry.example:5000/app:latest', '@1'],
  ];
  for (const [i, references] of names.entries()) {
    for (const name of references) {
      const image = await open(`docker-archive:${path}:${name}`);
      assert.equal(image.configDigest, digestOf(configs[i]!), name);
      await assertNamedAsBySkopeo(image, `docker-archive:${path}:${name}`);
    }
  }
  await assert.rejects(open(path), { kind: 'usage', message: /several images/ });
  for (const name of ['app:2', '@2', '@x']) {
    await assert.rejects(open(`docker-archive:${path}:${name}`), { kind: 'not-found' });
  }
});

function bothImages(configs: readonly Buffer[], layers: readonly Buffer[]): Buffer {
  return writeTar([
    ...layers.map((content, i) => ({ path: `${i}.tar`, content })),
    ...configs.map((content, i) => ({ path: `${i}.json`, content })),
    {
      path: 'manifest.json',
      content: JSON.stringify([
        { Config: '0.json', RepoTags: ['app:1'], Layers: ['0.tar', '1.tar'] },
        { Config: '1.json', RepoTags: ['registry.example:5000/app:latest'], Layers: ['0.tar'] },
      ]),
    },
  ]);
}

test('opens manifests without mediaType and images without layers', needsSkopeo, async (t) => {
  const directory = await temporaryDirectory(t);
  const empty = await writeLayout(join(directory, 'empty'), []);
  const image = await open(`oci:${directory}/empty`);
  assert.deepEqual(image.layers, []);
  assert.equal(image.manifestDigest, empty.manifestDigest);
  await assertNamedAsBySkopeo(image, `oci:${directory}/empty:latest`);
  const bare = await writeRelease(join(directory, 'bare'), 1, 1, { manifest: { mediaType: undefined } });
  const { manifestBytes, manifestDigest } = await open(`oci:${directory}/bare`);
  assert.equal('mediaType' in (JSON.parse(manifestBytes.toString()) as object), false);
  assert.equal(manifestDigest, bare.manifestDigest);
});
