/** Destinations of rebuilt images, read back by panamax, xdelta3, skopeo and umoci. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { toPanamaxError } from '../../../lib/errors.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { snapshot, temporaryDirectory } from '../../support/directory.ts';
import { digestOf, indexEntry, writeIndex, writeLayout } from '../../support/layout.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { missing } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { skopeoConfig, skopeoCopy } from '../../support/skopeo.ts';
import { writeTar } from '../../support/tar.ts';

const run = promisify(execFile);

async function assertImage(reference: string, layers: readonly Buffer[], config: string): Promise<void> {
  const image = await openImage(await parseReference(reference), { limits: DEFAULT_LIMITS });
  assert.equal(image.configDigest, config);
  assert.equal(image.layers.length, layers.length);
  for (const [i, layer] of image.layers.entries()) {
    assert.ok((await buffer(layer.tar())).equals(layers[i]!), `layer ${i}`);
  }
}

const file = fc.record({
  path: fc.constantFrom('a', 'b', 'c', 'd/e', 'd/f'),
  content: fc.oneof(
    fc.nat(3).map((seed) => createRandom(seed).text(20_000)),
    fc.tuple(fc.nat(3), fc.nat(19_000)).map(([seed, at]) => {
      const text = createRandom(seed).text(20_000);
      return `${text.slice(0, at)}changed${text.slice(at)}`;
    }),
    fc.uint8Array({ maxLength: 2000 }),
  ),
  mtime: fc.nat(2),
});
const files = fc.array(file, { maxLength: 6 }).map(writeTar);
const layer = fc.oneof(
  { weight: 4, arbitrary: files },
  fc.constantFrom(Buffer.alloc(0), writeTar([]), writeTar([{ path: 'a', content: 'one file' }])),
  fc.tuple(files, fc.uint8Array({ maxLength: 1500 })).map((parts) => Buffer.concat(parts)),
);
/** Layers; some occur more than once. */
const layers = fc
  .tuple(fc.array(layer, { maxLength: 3 }), fc.array(fc.nat(2), { maxLength: 2 }))
  .map(([all, again]) => [...all, ...again.flatMap((i) => all[i] ?? [])]);

test(
  'apply rebuilds any image from any other at all destinations',
  { skip: missing('xdelta3', 'skopeo') },
  async (t) => {
    const parent = await temporaryDirectory(t);
    let runs = 0;
    const property = fc.asyncProperty(layers, layers, async (sourceLayers, targetLayers) => {
      const directory = join(parent, String(runs++));
      const [source, target] = [join(directory, 'source'), join(directory, 'target')];
      await writeLayout(source, sourceLayers);
      const { configDigest } = await writeLayout(target, targetLayers);
      const patch = join(directory, 'patch');
      await makePatch(source, target, patch);

      const sourceStream = join(directory, 'source.stream');
      await writeFile(sourceStream, Buffer.concat(sourceLayers));
      await applyPatch(patch, `stream:${sourceStream}`, `stream:${directory}/ours.stream`);
      const expected = Buffer.concat(targetLayers);
      assert.ok((await readFile(join(directory, 'ours.stream'))).equals(expected));
      // xdelta3 refuses a patch without a window, as for an empty target
      if (expected.length > 0) {
        await run('xdelta3', ['-d', '-s', sourceStream, patch, join(directory, 'theirs.stream')]);
        assert.ok((await readFile(join(directory, 'theirs.stream'))).equals(expected));
      }
      for (const output of [
        `oci:${directory}/layout:tag`,
        `oci-archive:${directory}/oci.tar:tag`,
        `docker-archive:${directory}/docker.tar:app:tag`,
      ]) {
        await applyPatch(patch, source, output);
        await assertImage(output, targetLayers, configDigest);
        assert.equal(await skopeoConfig(output), configDigest);
      }
    });
    await fc.assert(property, { numRuns: 15 });
  },
);

describe('a rebuilt release', () => {
  test('is read by skopeo and umoci', { skip: missing('skopeo', 'umoci') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const source = join(directory, 'source');
    await writeRelease(source, 1, 1);
    const { configDigest } = await writeRelease(join(directory, 'target'), 1, 2);
    for (const format of ['xdelta', 'oci-delta'] as const) {
      const patch = join(directory, `patch.${format}`);
      await makePatch(source, join(directory, 'target'), patch, format);
      for (const output of [
        `oci:${directory}/${format}:tag`,
        `oci-archive:${directory}/${format}-oci.tar:tag`,
        `docker-archive:${directory}/${format}-docker.tar:app:tag`,
      ]) {
        await applyPatch(patch, source, output);
        const copy = `oci:${directory}/copy:latest`;
        await skopeoCopy(output, copy);
        await assertImage(copy, releaseLayers(1, 2), configDigest);
      }
    }
    const rootfs = join(directory, 'bundle');
    await run('umoci', ['unpack', '--rootless', '--image', `${directory}/xdelta:tag`, rootfs]);
    const entry = releaseLayers(1, 2)[1]!;
    const content = await readFile(join(rootfs, 'rootfs/srv/release'));
    assert.ok(entry.includes(content) && content.length === 3000);
  });

  test('gives the same archive every time', async (t) => {
    const directory = await temporaryDirectory(t);
    for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
    const patch = join(directory, 'patch');
    await makePatch(join(directory, '1'), join(directory, '2'), patch);
    for (const transport of ['oci-archive', 'docker-archive']) {
      const outputs = ['once', 'twice'].map((name) => join(directory, `${transport}-${name}`));
      for (const output of outputs) {
        await applyPatch(patch, join(directory, '1'), `${transport}:${output}:app:1`);
      }
      const [once, twice] = await Promise.all(outputs.map((output) => readFile(output)));
      assert.ok(once!.equals(twice!));
    }
  });
});

describe('an existing layout', () => {
  test('has one tag replaced and keeps its other files', async (t) => {
    const directory = await temporaryDirectory(t);
    const output = join(directory, 'output');
    const kept = await writeRelease(output, 1, 7);
    const moving = await writeRelease(output, 1, 1);
    const platform = { os: 'linux', architecture: 'amd64', 'os.version': '1', 'os.features': ['x'] };
    const keptEntry = {
      ...(await indexEntry(output, kept.manifestDigest, { tag: 'kept', platform })),
      artifactType: 'x',
    };
    await writeIndex(output, [keptEntry, await indexEntry(output, moving.manifestDigest, { tag: 'moving' })]);
    const before = await snapshot(output);
    await writeRelease(join(directory, 'target'), 1, 2);
    const target = await openImage(await parseReference(join(directory, 'target')), {
      limits: DEFAULT_LIMITS,
    });
    const patch = join(directory, 'patch');
    await makePatch(`oci:${output}:moving`, join(directory, 'target'), patch);
    await applyPatch(patch, `oci:${output}:moving`, `oci:${output}:moving`);

    await assertImage(`oci:${output}:moving`, releaseLayers(1, 2), target.configDigest);
    await assertImage(`oci:${output}:kept`, releaseLayers(1, 7), kept.configDigest);
    const index = JSON.parse(await readFile(join(output, 'index.json'), 'utf8')) as { manifests: unknown[] };
    assert.deepEqual(index.manifests[0], keptEntry);
    assert.equal(index.manifests.length, 2);
    const after = await snapshot(output);
    for (const [path, digest] of Object.entries(before)) {
      if (path !== 'index.json') assert.equal(after[path], digest, path);
    }
    const added = Object.keys(after).filter((path) => !(path in before));
    assert.equal(added.length, 'config manifest layer layer'.split(' ').length);
  });

  test('is unchanged if its index is damaged', async (t) => {
    const directory = await temporaryDirectory(t);
    for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
    const patch = join(directory, 'patch');
    await makePatch(join(directory, '1'), join(directory, '2'), patch);
    const output = join(directory, 'output');
    await writeRelease(output, 1, 3);
    await writeFile(join(output, 'index.json'), '{"manifests":');
    const before = await snapshot(directory);
    await assert.rejects(applyPatch(patch, join(directory, '1'), `oci:${output}:new`), { kind: 'bad-input' });
    assert.deepEqual(await snapshot(directory), before);
  });
});

test('apply leaves an existing file in place until the image is complete', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const release of [1, 2]) await writeRelease(join(directory, String(release)), 1, release);
  const patch = join(directory, 'patch');
  await makePatch(join(directory, '1'), join(directory, '2'), patch);
  await writeFile(join(directory, 'file'), 'mine');
  const before = await snapshot(directory);
  for (const [output, kind] of [
    [`oci:${directory}/file`, 'not-found'],
    [`oci-archive:${directory}/1`, 'io'],
    [`docker-archive:${directory}/1`, 'io'],
    [`stream:${directory}/1`, 'io'],
    [`stream:${directory}/none/file`, 'not-found'],
  ] as const) {
    await assert.rejects(applyPatch(patch, join(directory, '1'), output), (error) => {
      assert.equal(toPanamaxError(error).kind, kind, output);
      return true;
    });
    assert.deepEqual(await snapshot(directory), before, output);
  }
  await applyPatch(patch, join(directory, '1'), `stream:${directory}/file`);
  const stream = Buffer.concat(releaseLayers(1, 2));
  assert.equal(digestOf(await readFile(join(directory, 'file'))), digestOf(stream));
});
