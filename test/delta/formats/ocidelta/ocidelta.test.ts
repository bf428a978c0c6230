import type { Digest } from '../../../../lib/digest.ts';

/** Writing, reading and rebuilding oci-delta artifacts, compared with the oci-delta crate. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { encodeOciDelta, type ImageOnDisk } from '../../../../lib/delta/formats/ocidelta/encode.ts';
import { readOciDelta } from '../../../../lib/delta/formats/ocidelta/read.ts';
import { rebuildLayers } from '../../../../lib/delta/formats/ocidelta/rebuild.ts';
import { openRebuildSource } from '../../../../lib/delta/formats/ocidelta/source.ts';
import { MAGIC } from '../../../../lib/delta/formats/ocidelta/tardiff/format.ts';
import {
  verifyArtifact,
  verifyTarDiffs,
  type TarDiff,
} from '../../../../lib/delta/formats/ocidelta/verify.ts';
import { PanamaxError, type ErrorKind } from '../../../../lib/errors.ts';
import { DEFAULT_LIMITS as limits } from '../../../../lib/limits.ts';
import { openImage, type Image } from '../../../../lib/image/open.ts';
import { layerSizes, unpackImage } from '../../../../lib/image/layerstream.ts';
import { imageRecord } from '../../../../lib/image/record.ts';
import { listRootfsFiles } from '../../../../lib/image/rootfsfiles.ts';
import { parseReference } from '../../../../lib/image/oci/reference.ts';
import { temporaryDirectory } from '../../../support/directory.ts';
import { digestOf, writeLayout, type LayerCompression } from '../../../support/layout.ts';
import { findProgram, missing } from '../../../support/programs.ts';
import { createRandom } from '../../../support/random.ts';
import { collect } from '../../../support/tardiff.ts';
import { writeTar } from '../../../support/tar.ts';

const random = createRandom(3);
const program = random.bytes(40_000);
const changed = Buffer.from(program);
for (let i = 0; i < changed.length; i += 131) changed[i]! ^= 8;

const BASE = writeTar([{ path: 'etc/motd', content: 'welcome '.repeat(99) }]);
const APP = writeTar([{ path: 'bin/app', content: program, mode: 0o755 }]);
const NEW_APP = writeTar([{ path: 'bin/app', content: changed, mode: 0o755, mtime: 1 }]);
/** Short text without a repetition: of such gzip makes less than zstd. */
const NOISE = Buffer.from(random.text(1000));

type OnDisk = ImageOnDisk & { readonly image: Image };

async function unpack(
  directory: string,
  name: string,
  layers: readonly Uint8Array[],
  compression: readonly LayerCompression[] = [],
): Promise<OnDisk> {
  await writeLayout(join(directory, name), layers, { compression });
  const image = await openImage(await parseReference(join(directory, name)), { limits });
  const stream = await unpackImage(image, join(directory, `${name}.stream`), limits);
  return { image, stream, record: imageRecord(image, layerSizes(stream)) };
}

async function create(
  directory: string,
  source: OnDisk,
  target: OnDisk,
  name = 'delta.tar',
): Promise<string> {
  const path = join(directory, name);
  await encode(directory, source, target, path);
  return path;
}

async function encode(
  directory: string,
  source: OnDisk,
  target: OnDisk,
  path: string,
): Promise<Map<Digest, TarDiff>> {
  return encodeOciDelta({
    source,
    target,
    sourceFiles: await listRootfsFiles(source.stream, limits),
    openBlob: (layer) => target.image.layers[layer]!.blob(),
    path,
    scratch: directory,
    effort: 'default',
    limits,
  });
}

async function rebuild(path: string, source: OnDisk, maxSize = 1e6): Promise<Buffer[]> {
  const delta = await readOciDelta(path, limits);
  const files = await listRootfsFiles(source.stream, limits);
  await using opened = await openRebuildSource(
    source.stream.parts[0]!.path,
    source.stream,
    source.record.layers,
    files,
  );
  const layers: Buffer[] = [];
  for await (const { tar } of rebuildLayers(delta, opened, { maxSize })) layers.push(await collect(tar));
  return layers;
}

const refused =
  (...kinds: ErrorKind[]) =>
  (error: unknown) => {
    assert.ok(error instanceof PanamaxError, (error as Error).stack);
    assert.ok(kinds.includes(error.kind), `${error.kind}: ${error.message}`);
    return true;
  };

test('rebuilds layers that are reused, tar-diffs or whole', async (t) => {
  const directory = await temporaryDirectory(t);
  const source = await unpack(directory, 'source', [BASE, APP]);
  const target = await unpack(directory, 'target', [BASE, NEW_APP, NOISE]);
  const path = await create(directory, source, target);
  const delta = await readOciDelta(path, limits);
  assert.deepEqual(
    delta.layers.map(({ kind }) => kind),
    ['reused', 'tar-diff', 'whole'],
  );
  assert.equal(delta.source.manifest, source.record.manifest);
  assert.equal(delta.source.config, source.record.config);
  assert.equal(delta.target.manifest, target.record.manifest);
  assert.equal(delta.target.configDocument.toString(), target.record.configDocument);
  assert.deepEqual(await rebuild(path, source), [BASE, NEW_APP, NOISE]);
  assert.ok(readFileSync(path).length < 24_000);
  assert.deepEqual(readFileSync(await create(directory, source, target, 'again.tar')), readFileSync(path));
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.includes('layer-')),
    [],
  );
});

test('names reused layers as oci-delta create does', async (t) => {
  const directory = await temporaryDirectory(t);
  const source = await unpack(directory, 'source', [BASE, APP]);
  const target = await unpack(directory, 'target', [NEW_APP, BASE]);
  const path = await create(directory, source, target);
  execFileSync('tar', ['xf', path, '-C', directory]);
  const blob = (digest: string) =>
    JSON.parse(readFileSync(join(directory, 'blobs/sha256', digest.slice(7)), 'utf8'));
  const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8'));
  const manifest = blob(index.manifests[0].digest);
  assert.equal(manifest.artifactType, 'application/vnd.io.github.containers.oci-delta.v1');
  assert.equal(manifest.config.digest, digestOf(Buffer.from('{}')));
  assert.equal(manifest.subject.digest, target.record.manifest);
  assert.deepEqual(manifest.annotations, {
    'io.github.containers.delta.reused': JSON.stringify([target.record.layers[1]!.digest]),
    'io.github.containers.delta.reused-diff-id': JSON.stringify([digestOf(BASE)]),
    'io.github.containers.delta.source': source.record.manifest,
    'io.github.containers.delta.source-config': source.record.config,
    'io.github.containers.delta.target': target.record.manifest,
  });
  assert.equal(
    manifest.layers[2].annotations['io.github.containers.delta.to'],
    target.record.layers[0]!.digest,
  );
});

test('carries a layer twice if it has two compressions', async (t) => {
  const directory = await temporaryDirectory(t);
  const [one, other] = [random.bytes(50_000), random.bytes(50_000)];
  const tar = writeTar([
    { path: 'a', content: one },
    { path: 'b', content: other },
  ]);
  const source = await unpack(directory, 'source', [
    writeTar([
      { path: 'x', content: one },
      { path: 'y', content: other },
      { path: 'second/x', content: one },
    ]),
  ]);
  const target = await unpack(directory, 'target', [tar, tar], ['gzip', 'zstd']);
  const path = await create(directory, source, target);
  const { layers } = await readOciDelta(path, limits);
  assert.notEqual(layers[0]!.digest, layers[1]!.digest);
  assert.equal(layers[0]!.stored, layers[1]!.stored);
  assert.deepEqual(await rebuild(path, source), [tar, tar]);
});

describe('verification refuses', () => {
  test('a tar-diff that does not build its layer', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(directory, 'source', [APP]);
    const target = await unpack(directory, 'target', [NEW_APP]);
    const part = join(directory, 'part');
    const diff = await collect(
      (await readOciDelta(await create(directory, source, target), limits)).layers[0]!.blob(),
    );
    writeFileSync(part, diff.subarray(MAGIC.length));
    const sourceFiles = await listRootfsFiles(source.stream, limits);
    const verify = (layer: Uint8Array) =>
      verifyTarDiffs({
        source: source.stream,
        sourceFiles,
        tarDiffs: [{ diffID: digestOf(layer) as Digest, parts: [part] }],
        written: new Int32Array(new SharedArrayBuffer(4)).fill(1),
        limits,
      });
    const found = await verify(NEW_APP);
    assert.deepEqual(found.get(digestOf(NEW_APP) as Digest), { digest: digestOf(diff), size: diff.length });
    await assert.rejects(verify(APP), refused('bad-patch'));
  });

  test('a tar-diff of another layer', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(directory, 'source', [APP]);
    const changedTwice = writeTar([{ path: 'bin/app', content: changed.toReversed(), mtime: 2 }]);
    const target = await unpack(directory, 'target', [NEW_APP, changedTwice], ['none', 'none']);
    const path = join(directory, 'delta.tar');
    const tarDiffs = await encode(directory, source, target, path);
    await verifyArtifact(path, source, tarDiffs, limits);
    const [one, other] = [...tarDiffs.keys()];
    const exchanged = new Map([
      [one!, tarDiffs.get(other!)!],
      [other!, tarDiffs.get(one!)!],
    ]);
    await assert.rejects(verifyArtifact(path, source, exchanged, limits), refused('bad-patch'));
    await assert.rejects(verifyArtifact(path, source, new Map(), limits), refused('bad-patch'));
  });
});

describe('rebuilding fails for', () => {
  test('a wrong source, a layer over the limit, and damage', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(directory, 'source', [BASE, APP]);
    const target = await unpack(directory, 'target', [BASE, NEW_APP, NOISE]);
    const path = await create(directory, source, target);
    const other = await unpack(directory, 'other', [NEW_APP]);
    await assert.rejects(rebuild(path, other), refused('wrong-source'));
    await assert.rejects(rebuild(path, source, 30_000), refused('limit'));

    const bytes = readFileSync(path);
    const next = createRandom(11);
    const damagedPath = join(directory, 'damaged.tar');
    for (let i = 0; i < 300; i++) {
      const damaged = Buffer.from(bytes);
      for (let n = 0; n <= next.below(3); n++) damaged[next.below(damaged.length)] = next.below(256);
      writeFileSync(damagedPath, damaged);
      try {
        assert.deepEqual(await rebuild(damagedPath, source), [BASE, NEW_APP, NOISE]);
      } catch (error) {
        refused('bad-patch', 'limit', 'wrong-source')(error);
      }
    }
  });

  test('an image archive', async (t) => {
    const directory = await temporaryDirectory(t);
    await unpack(directory, 'image', [BASE]);
    execFileSync('tar', ['cf', join(directory, 'image.tar'), '-C', join(directory, 'image'), '.']);
    await assert.rejects(readOciDelta(join(directory, 'image.tar'), limits), refused('bad-patch'));
  });
});

/** Target and source as the crate names them, and the layers that it builds, by digest. */
function judge(directory: string, path: string, sourceLayers: readonly Buffer[]): [string, string] {
  for (const name of ['layout', 'root']) mkdirSync(join(directory, name));
  execFileSync('tar', ['xf', path, '-C', join(directory, 'layout')]);
  for (const [i, layer] of sourceLayers.entries()) {
    writeFileSync(join(directory, `${i}.tar`), layer);
    execFileSync('tar', ['xf', join(directory, `${i}.tar`), '-C', join(directory, 'root')]);
  }
  const out = join(directory, 'out');
  const [layout, root] = [join(directory, 'layout'), join(directory, 'root')];
  const named = execFileSync(findProgram('oci-delta-judge')!, ['artifact', layout, root, out]);
  return [named.toString(), out];
}

describe('the oci-delta crate', { skip: missing('oci-delta-judge') }, () => {
  test('rebuilds the layers', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(directory, 'source', [BASE, APP]);
    const target = await unpack(directory, 'target', [BASE, NEW_APP, NOISE]);
    const path = await create(directory, source, target);
    const [named, out] = judge(directory, path, [BASE, APP]);
    assert.equal(named, `${target.record.manifest}\n${source.record.config}\n`);
    for (const layer of [NEW_APP, NOISE]) {
      assert.ok(readFileSync(join(out, digestOf(layer).slice(7))).equals(layer));
    }
    assert.equal(readdirSync(out).length, 2);
  });

  test('rebuilds a layer that occurs twice', async (t) => {
    const directory = await temporaryDirectory(t);
    const source = await unpack(directory, 'source', [APP]);
    const target = await unpack(directory, 'target', [NEW_APP, NEW_APP], ['gzip', 'zstd']);
    const [, out] = judge(directory, await create(directory, source, target), [APP]);
    assert.deepEqual(readdirSync(out), [digestOf(NEW_APP).slice(7)]);
    assert.ok(readFileSync(join(out, digestOf(NEW_APP).slice(7))).equals(NEW_APP));
  });
});
