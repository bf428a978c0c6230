/** Rebuilt images keep their manifest digest if their layers were compressed by known encoders. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { Digest } from '../../lib/digest.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { openImage, type Image } from '../../lib/image/open.ts';
import { imageRecord, parseImageRecord, type ImageRecord, type LayerRecord } from '../../lib/image/record.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { parseDestination } from '../../lib/image/write/destination.ts';
import { imageSink } from '../../lib/image/write/sink.ts';
import { canBeExact } from '../../lib/image/write/imageblobs.ts';
import { readXdelta } from '../../lib/delta/formats/xdelta/read.ts';
import { createCompressor } from '../../lib/compression/compressor.ts';
import { headerSize } from '../../lib/compression/recipe.ts';
import { createForest, createMemoryStorage } from '../../lib/pairing/forest.ts';
import { createLayerCache } from '../../workers/resources/layercache.ts';
import { createMemory } from '../../workers/resources/memory.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { keys } from '../../lib/store/keys.ts';
import { deltaStage } from '../../workers/delta/stage.ts';
import { loadRecord } from '../../workers/delta/compressions.ts';
import { signatureStage } from '../../workers/signature/stage.ts';
import { panamaxJson } from '../support/commands.ts';
import { snapshot, temporaryDirectory } from '../support/directory.ts';
import { startEngine } from '../support/engine.ts';
import { blobPath, digestOf, writeLayout, type Layout } from '../support/layout.ts';
import { applyPatch, makePatch, makePatches } from '../support/patch.ts';
import { missing, notRoot } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { startRegistry } from '../support/registry.ts';
import { releaseLayers, writeRelease } from '../support/releases.ts';
import { fileScope } from '../support/scope.ts';
import { writeTar } from '../support/tar.ts';

const run = promisify(execFile);
const limits = DEFAULT_LIMITS;

const GO_HEADER = 'H4sIAAAAAAAA/w==';
const PGZIP_HEADER = 'H4sIAAAJbogA/w==';
const ZSTD_HEADER = 'KLUv/QRo';

function goGzip(tar: Uint8Array, level = 6): Buffer {
  const gzip = createCompressor({ encoder: 'go', level, header: GO_HEADER });
  return Buffer.concat([gzip.next(tar), gzip.end()]);
}

function pgzip(tar: Uint8Array): Buffer {
  const recipe = { encoder: 'pgzip-1.15.10', level: 5, blockSize: 1024 ** 2, header: PGZIP_HEADER } as const;
  const gzip = createCompressor(recipe);
  return Buffer.concat([gzip.next(tar), gzip.end()]);
}

function zstd(tar: Uint8Array): Buffer {
  const recipe = { encoder: 'containers-zstd-1.17.8', level: 2, header: ZSTD_HEADER } as const;
  const frame = createCompressor(recipe);
  return Buffer.concat([frame.next(tar), frame.end()]);
}

/** Two zstd frames, which no known encoder makes. */
function frames(tar: Uint8Array): Buffer {
  return Buffer.concat([tar.subarray(0, 1000), tar.subarray(1000)].map((part) => zstdCompressSync(part)));
}

/** Large enough to distinguish all encoders. */
const LARGE = writeTar([{ path: 'large', content: createRandom(5).text(1_500_000) }]);
/** Large enough for an encoder that is not known: another one fails. */
const MEDIUM = writeTar([{ path: 'medium', content: createRandom(5).text(400_000) }]);

const open = async (reference: string): Promise<Image> =>
  openImage(await parseReference(reference), { limits });

/** Makes patches from a first release, `source`, to the layout `target`. */
async function makeBoth(directory: string): Promise<Readonly<Record<'xdelta' | 'oci-delta', string>>> {
  const paths = { xdelta: join(directory, 'patch.xdelta'), 'oci-delta': join(directory, 'patch.oci-delta') };
  await writeRelease(join(directory, 'source'), 1, 1);
  await makePatches(join(directory, 'source'), join(directory, 'target'), paths);
  return paths;
}

/** Applies a patch that was made from the first release. */
async function applied(directory: string, patch: string, transport = 'oci'): Promise<Image> {
  const output = `${transport}:${await mkdtemp(join(directory, 'output-'))}/image:tag`;
  await applyPatch(patch, join(directory, 'source'), output);
  return open(output);
}

async function assertExact(image: Image, { manifestDigest, layerDigests }: Layout): Promise<void> {
  assert.equal(image.manifestDigest, manifestDigest);
  assert.deepEqual(
    image.layers.map(({ descriptor }) => descriptor.digest),
    layerDigests,
  );
  for (const layer of image.layers) {
    assert.equal((await buffer(layer.blob())).length, layer.descriptor.size);
    await buffer(layer.tar());
  }
}

describe('an image with layers of known encoders', () => {
  const scope = fileScope();
  let directory: string;
  let target: Layout;
  let patches: Awaited<ReturnType<typeof makeBoth>>;

  before(async () => {
    directory = await temporaryDirectory(scope);
    const layers = [...releaseLayers(1, 2), LARGE, Buffer.alloc(0), LARGE, LARGE, LARGE];
    target = await writeLayout(join(directory, 'target'), layers, {
      compression: ['gzip', 'none', 'gzip', 'gzip', 'gzip', 'zstd', 'zstd'],
      blobs: [
        goGzip(layers[0]!),
        layers[1]!,
        pgzip(LARGE),
        gzipSync(layers[3]!, { level: 9 }),
        pgzip(LARGE),
        zstd(LARGE),
        zstdCompressSync(LARGE),
      ],
      manifest: { annotations: { kept: 'yes' } },
    });
    patches = await makeBoth(directory);
  });

  for (const [transport, format] of [
    ['oci', 'xdelta'],
    ['oci-archive', 'xdelta'],
    ['oci', 'oci-delta'],
  ] as const) {
    test(`keeps its manifest digest in ${transport} from ${format}`, async () => {
      await assertExact(await applied(directory, patches[format], transport), target);
    });
  }

  test('gets a new manifest with --uncompressed and in docker archives', async (t) => {
    const directory = await temporaryDirectory(t);
    const file = (name: string) => join(directory, name);
    await writeRelease(file('source'), 1, 1);
    const target = await writeLayout(file('target'), [MEDIUM], { blobs: [goGzip(MEDIUM)] });
    const { isExact } = await panamaxJson<{ isExact: boolean }>(
      'diff',
      file('source'),
      file('target'),
      '-o',
      file('patch'),
    );
    assert.equal(isExact, true);
    for (const [output, manifest, ...flags] of [
      [`oci:${file('exact')}`, target.manifestDigest],
      [`oci:${file('plain')}`, null, '--uncompressed'],
      [`docker-archive:${file('docker.tar')}:app:1`, null],
    ] as const) {
      const applied = await panamaxJson<{ manifest: string | null }>(
        'apply',
        file('patch'),
        '-s',
        file('source'),
        '-o',
        output,
        ...flags,
      );
      assert.equal(applied.manifest, manifest);
      const image = await open(output);
      assert.equal(image.configDigest, target.configDigest);
      assert.equal(image.manifestDigest === target.manifestDigest, manifest !== null);
    }
  });
});

describe('an image with layers of unknown encoders', () => {
  const layer = MEDIUM;
  const twice = Buffer.concat([layer, layer]);
  const scope = fileScope();
  let directory: string;
  let target: Layout;
  let patches: Awaited<ReturnType<typeof makeBoth>>;

  before(async () => {
    directory = await temporaryDirectory(scope);
    // of Node's own zlib, and of two members
    const members = Buffer.concat([goGzip(layer), goGzip(layer, 9)]);
    const layers = [releaseLayers(1, 2)[0]!, layer, twice];
    target = await writeLayout(join(directory, 'target'), layers, {
      blobs: [goGzip(layers[0]!), gzipSync(layer), members],
    });
    patches = await makeBoth(directory);
  });

  for (const format of ['xdelta', 'oci-delta'] as const) {
    test(`keeps its manifest digest by small corrections in ${format}`, async () => {
      await assertExact(await applied(directory, patches[format]), target);
      const { target: told } = await panamaxJson<{ target: ImageRecord }>('inspect', patches[format]);
      const encoders = told.layers.map(({ compression }) => compression?.encoder);
      assert.deepEqual(encoders, ['go', 'corrected', 'corrected']);
    });
  }
});

test('a layer that is not reproducible is rebuilt uncompressed', async (t) => {
  const layer = MEDIUM;
  for (const [blob, content] of [
    [frames(layer), layer],
    // with padding after the stream
    [Buffer.concat([goGzip(layer), Buffer.alloc(512)]), layer],
  ] as const) {
    const directory = await temporaryDirectory(t);
    const layers = [releaseLayers(1, 2)[0]!, content];
    const blobs = [goGzip(layers[0]!), blob];
    const { configDigest, diffIDs } = await writeLayout(join(directory, 'target'), layers, { blobs });
    await writeRelease(join(directory, 'source'), 1, 1);
    await makePatch(join(directory, 'source'), join(directory, 'target'), join(directory, 'patch'));
    const image = await applied(directory, join(directory, 'patch'));
    assert.equal(image.configDigest, configDigest);
    assert.deepEqual(
      image.layers.map(({ descriptor }) => descriptor.digest),
      diffIDs,
    );
  }
});

async function record(directory: string, blob: Buffer): Promise<ImageRecord> {
  await writeLayout(directory, [LARGE], { blobs: [blob] });
  return imageRecord(await open(`oci:${directory}`), [LARGE.length]);
}

test('a layer of another libzstd version is rebuilt uncompressed', async (t) => {
  const directory = await temporaryDirectory(t);
  const blob = zstdCompressSync(LARGE);
  const image = await record(join(directory, 'target'), blob);
  const header = blob.toString('base64', 0, headerSize(blob, 'zstd'));
  const compression = { encoder: 'libzstd', version: '1.5.6', level: 3, header };
  const told = { ...image, layers: [{ ...image.layers[0], compression }] };
  const known = parseImageRecord(JSON.parse(JSON.stringify(told)), 'test');
  await imageSink(parseDestination(`oci:${directory}/output`))(known, streamOf(LARGE));
  const rebuilt = await open(`oci:${directory}/output`);
  assert.equal(rebuilt.configDigest, image.config);
  assert.equal(rebuilt.layers[0]!.descriptor.digest, rebuilt.layers[0]!.diffID);
});

describe('a wrong compression recipe', () => {
  for (const [what, blob] of [
    ['another level', goGzip(LARGE, 1)],
    ['too little', Buffer.concat([goGzip(LARGE), Buffer.alloc(1000)])],
    ['too much', goGzip(LARGE).subarray(0, 1000)],
  ] as const) {
    test(`with ${what} is refused and leaves no files`, async (t) => {
      const directory = await temporaryDirectory(t);
      const image = await record(join(directory, 'target'), blob);
      const before = await snapshot(directory);
      const compression: LayerRecord['compression'] = { encoder: 'go', level: 6, header: GO_HEADER };
      const lying = { ...image, layers: [{ ...image.layers[0]!, compression }] };
      for (const output of [`oci:${directory}/output`, `oci-archive:${directory}/output`]) {
        await assert.rejects(imageSink(parseDestination(output))(lying, streamOf(LARGE)), {
          kind: 'bad-patch',
        });
        assert.deepEqual(await snapshot(directory), before);
      }
    });
  }
});

async function* streamOf(layer: Buffer) {
  yield layer;
}

const encodersOf = ({ layers }: ImageRecord) => layers.map(({ compression }) => compression?.encoder);

test('the delta stage looks for the compression of a layer once', async (t) => {
  const directory = await temporaryDirectory(t);
  const shared = goGzip(MEDIUM);
  const unknown = frames(MEDIUM);
  for (const name of ['a', 'b', 'c']) {
    const layers = [MEDIUM, MEDIUM, Buffer.from('')];
    // another config, and so another manifest
    const options = { blobs: [shared, unknown, goGzip(Buffer.from(''))], config: { author: name } };
    await writeLayout(join(directory, name), layers, options);
  }
  const fresh = writeTar([{ path: 'medium', content: createRandom(7).text(300_000) }]);
  await writeLayout(join(directory, 'd'), [MEDIUM, fresh], { blobs: [shared, goGzip(fresh)] });
  const store = await openDirectoryStore(join(directory, 'store'));
  const log = { info() {}, warn() {} };
  const layers = createLayerCache(join(directory, 'layers'), 1e9);
  const similar = createForest(createMemoryStorage());
  const context = {
    store,
    log,
    signal: new AbortController().signal,
    limits,
    scratch: directory,
    layers,
    memory: createMemory(8 * 1024 ** 3),
    similar,
  };
  const old = writeTar([{ path: 'medium', content: createRandom(5).text(399_000) }]);
  await writeLayout(join(directory, 'source'), [old], { blobs: [goGzip(old)] });
  const imageOf = async (name: string) => {
    const reference = `oci:${join(directory, name)}`;
    const { manifest } = await signatureStage({ reference }, context);
    return { manifest, reference };
  };
  const source = await imageOf('source');
  const effort = 'fast' as const;
  const compressionsOf = async (name: string) => {
    const target = await imageOf(name);
    const before = await loadRecord(store, target.manifest);
    const formats = ['xdelta'] as const;
    await deltaStage({ sources: [source], target, formats, effort, predictedPatchSize: 1 }, context);
    const after = await loadRecord(store, target.manifest);
    const patch = keys.patch(target.manifest, source.manifest, 'xdelta');
    const published = await readXdelta(join(directory, 'store', patch));
    assert.deepEqual(encodersOf(published.target), encodersOf(after));
    const index = await readIndex(store, target.manifest);
    assert.equal(index?.target.isExact, canBeExact(after));
    return { before: encodersOf(before), after: encodersOf(after) };
  };
  // neither a source nor a signature needs compressions
  assert.deepEqual(await Array.fromAsync(store.list(keys.compressions)), []);
  const all = ['go', undefined, 'go'];
  const nothing = [undefined, undefined, undefined];
  assert.deepEqual(await compressionsOf('a'), { before: nothing, after: all });
  const storedAt = async (at: string) =>
    (JSON.parse(String(await store.get(at))) as { compression: unknown }).compression;
  const key = keys.compression(digestOf(shared) as Digest);
  const recipe = { encoder: 'go', level: 6, header: GO_HEADER };
  assert.deepEqual(await storedAt(key), recipe);
  const unknownKey = keys.compression(digestOf(unknown) as Digest);
  assert.equal(await storedAt(unknownKey), null);

  await store.put(key, Buffer.from('{"compression":null}'));
  const known = [undefined, undefined, 'go'];
  assert.deepEqual(await compressionsOf('b'), { before: known, after: known });
  // a damaged entry is replaced
  await store.put(key, Buffer.from('{"compression":'));
  assert.deepEqual(await compressionsOf('c'), { before: known, after: all });
  assert.deepEqual(await storedAt(key), recipe);

  // two patches to one target at once: it is read once to unpack it and once to find its compressions
  const target = await imageOf('d');
  const others = [source, await imageOf('a')];
  let leases = 0;
  const counting = {
    ...layers,
    blobs: {
      ...layers.blobs,
      lease(...[image, options]: Parameters<typeof layers.blobs.lease>) {
        if (image.manifest === target.manifest) leases++;
        return layers.blobs.lease(image, options);
      },
    },
  };
  const input = { target, formats: ['xdelta'] as const, effort, predictedPatchSize: 1 };
  await Promise.all(
    others.map((one) => deltaStage({ ...input, sources: [one] }, { ...context, layers: counting })),
  );
  assert.equal(leases, 2);
  assert.deepEqual(encodersOf(await loadRecord(store, target.manifest)), ['go', 'go']);
});

const skip = missing('dockerd', 'docker', 'docker-registry', 'skopeo', 'podman') || notRoot();

test('images from docker, podman and skopeo keep their manifest digest', { skip }, async (t) => {
  const directory = await temporaryDirectory(t);
  const file = (name: string) => join(directory, name);
  const { host } = await startRegistry({ after });
  const docker = await startEngine(t);
  const layers = [LARGE, ...releaseLayers(1, 2)];
  await writeLayout(file('plain'), layers, { compression: 'none' });
  const archive = `docker-archive:${file('plain.tar')}:${host}/docker:1`;
  await run('skopeo', ['copy', '-q', `oci:${file('plain')}`, archive]);
  await docker('load', '-i', file('plain.tar'));
  await docker('push', '-q', `${host}/docker:1`);
  const insecure = '--dest-tls-verify=false';
  await run('skopeo', ['copy', '-q', insecure, `oci:${file('plain')}`, `docker://${host}/skopeo:1`]);
  const store = ['--root', file('root'), '--runroot', file('run'), '--storage-driver', 'vfs'];
  await run('podman', [...store, 'load', '-q', '-i', file('plain.tar')]);
  const pushed = ['push', '-q', '--tls-verify=false', `${host}/docker:1`, `${host}/podman:1`];
  await run('podman', [...store, ...pushed]);

  await writeRelease(file('source'), 1, 1);
  for (const [name, encoder] of [
    ['docker', 'go'],
    ['skopeo', 'pgzip-1.15.10'],
    ['podman', 'pgzip-1.15.10'],
  ] as const) {
    const from = ['--src-tls-verify=false', `docker://${host}/${name}:1`];
    await run('skopeo', ['copy', '-q', '--preserve-digests', ...from, `oci:${file(name)}:1`]);
    const pulled = await open(`oci:${file(name)}`);
    await makePatch(file('source'), file(name), file(`${name}.patch`));
    const { target } = await panamaxJson<{ target: ImageRecord }>('inspect', file(`${name}.patch`));
    for (const layer of target.layers) assert.equal(layer.compression?.encoder, encoder);

    await applyPatch(file(`${name}.patch`), file('source'), `oci:${file(`${name}-new`)}:1`);
    const rebuilt = await open(`oci:${file(`${name}-new`)}`);
    assert.equal(rebuilt.manifestDigest, pulled.manifestDigest);
    assert.deepEqual(await blobs(file(`${name}-new`)), await blobs(file(name)));
    // the image can be pushed under its digest; skopeo 1.9 finds a docker manifest only without a tag
    const digest = `docker://${host}/${name}@${pulled.manifestDigest}`;
    const exact = ['--preserve-digests', insecure, `oci:${file(`${name}-new`)}`, digest];
    await run('skopeo', ['copy', '-q', ...exact]);
  }
});

async function blobs(layout: string): Promise<string[]> {
  const names = await readdir(join(layout, 'blobs', 'sha256'));
  for (const name of names) assert.ok((await readFile(blobPath(layout, `sha256:${name}`))).length > 0);
  return names.toSorted();
}
