/** Images of the kinds that public bug reports name: old, odd or hostile, but each with one right result. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { Readable } from 'node:stream';
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib';
import { PanamaxError, type ErrorKind } from '../../lib/errors.ts';
import { findCompression, readHead } from '../../lib/image/compression/detect.ts';
import { decompressed } from '../../lib/image/decompress.ts';
import { splitFrames } from '../../lib/image/zstdframes.ts';
import { parseReference } from '../../lib/image/oci/reference.ts';
import { parsePlatformOption } from '../../lib/image/oci/platform.ts';
import { openImage, type Image, type ImageOptions } from '../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { computeSignature } from '../../lib/pairing/signature/compute.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configOf } from '../support/dockerarchive.ts';
import {
  blobPath,
  digestOf,
  indexEntry,
  writeIndex,
  writeLayout,
  type LayoutOptions,
} from '../support/layout.ts';
import { writeTar, type SparseFormat, type TarFixture } from '../support/tar.ts';

const TAR = writeTar([{ path: 'etc/' }, { path: 'etc/motd', content: 'welcome '.repeat(100) }]);
const OCI = 'application/vnd.oci.image';

async function open(reference: string, options: Partial<ImageOptions> = {}): Promise<Image> {
  return openImage(await parseReference(reference), { limits, ...options });
}

const blobName = (digest: string) => `blobs/sha256/${digest.slice('sha256:'.length)}`;

const hole = (size: number): TarFixture => ({
  path: 'hole',
  content: '',
  sparse: { format: '1.0', runs: [], size },
});

/** A zstd frame of zeros without a content size: RLE blocks of 128 KiB. */
function zeros(blocks: number, window = 0x58): Buffer {
  const frame = Buffer.alloc(6 + 4 * blocks);
  frame.writeUInt32LE(0xfd2fb528, 0);
  frame[5] = window;
  for (let i = 0; i < blocks; i++)
    frame.writeUIntLE((131072 << 3) | 2 | (i === blocks - 1 ? 1 : 0), 6 + 4 * i, 3);
  return frame;
}
async function expand(blob: Buffer, room?: number): Promise<void> {
  const bounds = { limits, size: blob.length, ...(room !== undefined && { room }) };
  const pieces = decompressed(
    (async function* () {
      yield blob;
    })(),
    'here',
    bounds,
  );
  for await (const _ of pieces);
}

function refusal(kind: ErrorKind, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof PanamaxError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** A layout with one image per options; they differ by a label. */
async function writeImages(t: TestContext, images: readonly LayoutOptions[]) {
  const layout = join(await temporaryDirectory(t), 'image');
  const digests: string[] = [];
  for (const [i, options] of images.entries()) {
    const config = { ...options.config, config: { Labels: { number: `${i}` } } };
    digests.push((await writeLayout(layout, [TAR], { ...options, config })).manifestDigest);
  }
  const entry = (i: number, more: Parameters<typeof indexEntry>[2] = {}) =>
    indexEntry(layout, digests[i]!, more);
  return { layout, digests, entry };
}

describe('chooses an image of a layout', () => {
  test('that is under two tags', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}]);
    await writeIndex(layout, [await entry(0, { tag: 'a' }), await entry(0, { tag: 'b' })]);
    assert.equal((await open(layout)).manifestDigest, digests[0]);
  });

  test('that is the first of two under one tag', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}, {}]);
    await writeIndex(layout, [await entry(0, { tag: 'a' }), await entry(1, { tag: 'a' })]);
    assert.equal((await open(`oci:${layout}:a`)).manifestDigest, digests[0]);
  });

  test('only by its name if there are several, named or not', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}, {}]);
    await writeIndex(layout, [await entry(0), await entry(1)]);
    await assert.rejects(
      open(layout),
      refusal('usage', new RegExp(`name one: .*${digests[0]}, ${digests[1]}`)),
    );
    assert.equal((await open(`oci:${layout}:${digests[1]}`)).manifestDigest, digests[1]);
    await writeIndex(layout, [await entry(0), await entry(1, { tag: 'v2' })]);
    await assert.rejects(open(layout), refusal('usage', new RegExp(`name one: .*${digests[0]}, v2`)));
    await assert.rejects(open(`oci:${layout}:v3`), refusal('not-found', new RegExp(`${digests[0]}, v2`)));
  });

  test('that has a referrer beside it', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [
      {},
      {
        manifest: {
          artifactType: 'application/spdx+json',
          config: { mediaType: `${OCI}.empty`, size: 2, digest: digestOf(Buffer.from('{}')) },
        },
      },
    ]);
    await writeIndex(layout, [await entry(0, { tag: 'v1' }), await entry(1)]);
    assert.equal((await open(layout)).manifestDigest, digests[0]);
  });

  test('that has a name beside annotations that are no text', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}, {}]);
    const named = await entry(1, { tag: 'v2' });
    const annotations = { ...(named['annotations'] as object), empty: null, number: 5 };
    await writeIndex(layout, [
      { ...(await entry(0)), annotations: null, platform: {}, urls: null },
      { ...named, annotations },
    ]);
    assert.equal((await open(`oci:${layout}:v2`)).manifestDigest, digests[1]);
  });

  test('behind an attestation in nested indexes', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}, {}]);
    const unknown = { os: 'unknown', architecture: 'unknown' };
    const amd64 = { os: 'linux', architecture: 'amd64' };
    const platform = parsePlatformOption('linux/amd64');
    let index = await writeIndex(
      layout,
      [await entry(1, { platform: unknown }), await entry(0, { platform: amd64 })],
      { blob: true },
    );
    for (let depth = 0; depth < 3; depth++) {
      await writeIndex(layout, [await indexEntry(layout, index, { tag: 'v1', kind: 'index' })]);
      assert.equal((await open(layout, { platform })).manifestDigest, digests[0]);
      index = await writeIndex(layout, [await indexEntry(layout, index, { kind: 'index' })], { blob: true });
    }
  });

  test('beside an entry that is damaged', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}]);
    const bad = { mediaType: '', digest: `sha512:${'0'.repeat(128)}`, size: -1, platform: 5 };
    const index = await writeIndex(
      layout,
      [bad, { ...(await entry(0, { platform: { os: 'linux', architecture: 'amd64' } })) }],
      { blob: true },
    );
    await writeIndex(layout, [await indexEntry(layout, index, { tag: 'v1', kind: 'index' })]);
    const image = await open(layout, { platform: { os: 'linux', architecture: 'amd64' } });
    assert.equal(image.manifestDigest, digests[0]);
    await writeIndex(layout, [bad]);
    await assert.rejects(open(layout), refusal('bad-input', /sha512/));
  });
});

describe('chooses an image for a platform as containerd does', () => {
  const listed = ['arm/v5', 'arm/v6', 'arm/v7', 'arm64/v8', 'amd64/v3', 'amd64', 'riscv64'];
  const cases: Record<string, string> = {
    'linux/arm': 'arm/v7',
    'linux/arm/v8': 'arm/v7',
    'linux/arm/v6': 'arm/v6',
    'linux/arm/5': 'arm/v5',
    'linux/armhf': 'arm/v7',
    'linux/armel': 'arm/v6',
    'linux/arm64': 'arm64/v8',
    'linux/arm64/v9': 'arm64/v8',
    'linux/aarch64': 'arm64/v8',
    'linux/x86_64': 'amd64',
    'linux/amd64/v1': 'amd64',
    'linux/amd64/v4': 'amd64/v3',
    'linux/riscv64': 'riscv64',
  };
  for (const withPlatforms of [true, false]) {
    test(
      withPlatforms ? 'by the platforms of the index' : 'by the configs of images without a platform',
      async (t) => {
        const platforms = listed.map((text) => {
          const [architecture, variant] = text.split('/');
          return { os: 'linux', architecture: architecture!, ...(variant && { variant }) };
        });
        const { layout, digests, entry } = await writeImages(
          t,
          platforms.map((config) => ({ config })),
        );
        const entries = await Promise.all(
          platforms.map((platform, i) => (withPlatforms ? entry(i, { platform }) : entry(i))),
        );
        const nulls = entries.map((item) => (withPlatforms ? item : { ...item, platform: null }));
        const index = await writeIndex(layout, nulls, { blob: true });
        await writeIndex(layout, [await indexEntry(layout, index, { kind: 'index' })]);
        for (const [wanted, chosen] of Object.entries(cases)) {
          const image = await open(layout, { platform: parsePlatformOption(wanted) });
          assert.equal(listed[digests.indexOf(image.manifestDigest)], chosen, wanted);
        }
        await assert.rejects(
          open(layout, { platform: parsePlatformOption('linux/s390x') }),
          refusal('not-found', /linux\/arm\/v5, .*linux\/riscv64/),
        );
      },
    );
  }
});

describe('reads old and sparse documents', () => {
  for (const mediaType of ['application/octet-stream', 'text/html', '']) {
    test(`config of media type '${mediaType}'`, async (t) => {
      const layout = join(await temporaryDirectory(t), 'image');
      const { manifestDigest } = await writeLayout(layout, [TAR]);
      const manifest = JSON.parse(await readFile(blobPath(layout, manifestDigest), 'utf8'));
      const changed = await writeLayout(layout, [TAR], {
        manifest: { config: { ...manifest.config, mediaType } },
      });
      assert.equal((await open(layout)).manifestDigest, changed.manifestDigest);
    });
  }

  test('layers of vague media types, by their bytes', async (t) => {
    const layout = join(await temporaryDirectory(t), 'image');
    const types = ['application/octet-stream', '', null, 'text/html; charset=utf-8', 'application/x-gzip'];
    for (const compression of ['none', 'gzip'] as const) {
      for (const mediaType of types) {
        const { manifestDigest } = await writeLayout(layout, [TAR], { compression });
        const { layers } = JSON.parse(await readFile(blobPath(layout, manifestDigest), 'utf8'));
        const changed = { layers: [{ ...layers[0], mediaType }] };
        await writeLayout(layout, [TAR], { compression, manifest: changed });
        const [layer] = (await open(layout)).layers;
        assert.deepEqual(await buffer(layer!.tar()), TAR);
        const head = await readHead(layer!);
        const recipe = await findCompression({ ...layer!, head }, () => layer!.tar());
        assert.equal(recipe?.encoder === 'none', compression === 'none');
      }
    }
  });

  test('null or missing lists and objects', async (t) => {
    const layout = join(await temporaryDirectory(t), 'image');
    for (const layers of [null, undefined]) {
      await writeLayout(layout, [], { manifest: { layers, annotations: null, subject: null } });
      assert.deepEqual((await open(layout)).layers, []);
    }
    const config = { rootfs: null, config: null, history: null };
    await writeLayout(layout, [], { manifest: { layers: null }, config });
    assert.deepEqual((await open(layout)).layers, []);
  });

  test('an index without a media type', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [{}]);
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [await entry(0)] }));
    await writeFile(blobPath(layout, digestOf(index)), index);
    for (const mediaType of ['', 'application/json', 'text/plain']) {
      await writeIndex(layout, [{ ...(await indexEntry(layout, digestOf(index))), mediaType }]);
      assert.equal((await open(layout)).manifestDigest, digests[0]);
    }
  });

  test('names a foreign layer and its urls', async (t) => {
    const layout = join(await temporaryDirectory(t), 'image');
    const { layerDigests } = await writeLayout(layout, [TAR]);
    const blob = await readFile(blobPath(layout, layerDigests[0]!));
    const type = `${OCI}.layer.nondistributable.v1.tar+gzip`;
    const urls = ['https://example.invalid/layer'];
    const layers = [{ mediaType: type, digest: layerDigests[0], size: blob.length, urls }];
    await writeLayout(layout, [TAR], { manifest: { layers } });
    await rm(blobPath(layout, layerDigests[0]!));
    const image = await open(layout);
    await assert.rejects(
      buffer(image.layers[0]!.tar()),
      refusal('not-found', /foreign \(non-distributable\).*https:\/\/example\.invalid\/layer/),
    );
  });
});

describe('reads the archive around an image with the tar reader of layers', () => {
  for (const format of ['gnu', '0.0', '0.1', '1.0'] as SparseFormat[]) {
    test(`sparse files of format ${format}, long names and links`, async (t) => {
      const path = join(await temporaryDirectory(t), 'image.tar');
      const layer = Buffer.concat([TAR, Buffer.alloc(20_000)]);
      const name = `${'long/'.repeat(40)}layer.tar`;
      const sparse = { format, runs: [{ offset: 0, size: TAR.length }], size: layer.length };
      const fixtures: TarFixture[] = [
        { path: 'data/config.json', content: configOf([layer]) },
        { path: `data/${name}`, content: layer, sparse, format: format === 'gnu' ? 'gnu' : 'pax' },
        { path: 'link', type: 'symlink', linkPath: './data' },
        { path: 'hard', type: 'hardlink', linkPath: `data/${name}` },
      ];
      for (const file of [`data/${name}`, `link/${name}`, 'hard']) {
        const manifest = [{ Config: 'link/config.json', RepoTags: null, Layers: [file] }];
        await writeFile(
          path,
          writeTar([...fixtures, { path: 'manifest.json', content: JSON.stringify(manifest) }]),
        );
        const image = await open(path);
        assert.ok((await buffer(image.layers[0]!.tar())).equals(layer), file);
      }
    });
  }

  test('a hardlink keeps the file of a name that a later entry takes', async (t) => {
    const path = join(await temporaryDirectory(t), 'image.tar');
    const manifest = [{ Config: 'config.json', RepoTags: null, Layers: ['layer.tar'] }];
    const archive = writeTar([
      { path: 'config.json', content: configOf([TAR]) },
      { path: 'a/layer.tar', content: TAR },
      { path: 'layer.tar', type: 'hardlink', linkPath: './a/layer.tar' },
      { path: 'a/layer.tar', content: 'other' },
      { path: 'manifest.json', content: JSON.stringify(manifest) },
    ]);
    await writeFile(path, archive);
    const image = await open(path);
    assert.ok((await buffer(image.layers[0]!.tar())).equals(TAR));
  });

  test('keeps the digest of an embedded manifest for another platform than this one', async (t) => {
    const { layout, digests, entry } = await writeImages(t, [
      { architecture: 's390x', config: { architecture: 's390x' } },
    ]);
    const absent = { mediaType: `${OCI}.manifest.v1+json`, digest: `sha256:${'a'.repeat(64)}`, size: 5 };
    const index = await writeIndex(
      layout,
      [
        { ...absent, platform: { os: 'linux', architecture: 'amd64' } },
        await entry(0, { platform: { os: 'linux', architecture: 's390x' } }),
      ],
      { blob: true },
    );
    await writeIndex(layout, [await indexEntry(layout, index, { tag: 'y', kind: 'index' })]);
    const read = (digest: string) => readFile(blobPath(layout, digest));
    const manifest = await read(digests[0]!);
    const { config, layers } = JSON.parse(manifest.toString());
    const files = [index, digests[0]!, config.digest, layers[0].digest] as string[];
    const saved = [
      { Config: blobName(config.digest), RepoTags: ['x:y'], Layers: [blobName(layers[0].digest)] },
    ];
    const path = `${layout}.tar`;
    const archive = writeTar([
      ...(await Promise.all(
        files.map(async (digest) => ({ path: blobName(digest), content: await read(digest) })),
      )),
      { path: 'index.json', content: await readFile(join(layout, 'index.json')) },
      { path: 'manifest.json', content: JSON.stringify(saved) },
    ]);
    await writeFile(path, archive);
    assert.equal((await open(path)).manifestDigest, digests[0]);
  });
});

describe('refuses other compressions by name', () => {
  const heads = {
    xz: 'fd377a585a000004e6d6b446',
    bzip2: '425a6839314159265359a1b2',
    lz4: '04224d186440a7',
    lzip: '4c5a49500118',
  };
  for (const [name, hex] of Object.entries(heads)) {
    test(name, async (t) => {
      const directory = await temporaryDirectory(t);
      const blob = Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(500, 1)]);
      await writeLayout(join(directory, 'layout'), [TAR], { blobs: [blob] });
      const image = await open(join(directory, 'layout'));
      const refused = refusal('bad-input', new RegExp(`compressed by ${name}, which is not supported`));
      await assert.rejects(buffer(image.layers[0]!.tar()), refused);
      const manifest = JSON.stringify([{ Config: 'c.json', Layers: ['layer.tar'] }]);
      const archive = writeTar([
        { path: 'c.json', content: configOf([TAR]) },
        { path: 'layer.tar', content: blob },
        { path: 'manifest.json', content: manifest },
      ]);
      await writeFile(join(directory, 'image.tar'), archive);
      await assert.rejects(open(join(directory, 'image.tar')), refused);
    });
  }
});

describe('reads odd compressed layers', () => {
  const bytes = Buffer.from('welcome '.repeat(500));
  const [first, second] = [bytes.subarray(0, 900), bytes.subarray(900)];
  const skippable = Buffer.from('532a4d180500000068656c6c6f', 'hex');
  /** FEXTRA, FNAME, FCOMMENT and FHCRC (RFC 1952, 2.3.1). */
  const withFields = () => {
    const head = Buffer.concat([
      Buffer.from('1f8b081e0000000000ff0600414202007879', 'hex'),
      Buffer.from('layer.tar\0a comment\0'),
    ]);
    const checksum = Buffer.alloc(2);
    checksum.writeUInt16LE(crc32(head) & 0xffff);
    return Buffer.concat([head, checksum, gzipSync(bytes).subarray(10)]);
  };
  const empty = gzipSync('');
  const layers: Record<string, Buffer> = {
    'gzip with all fields': withFields(),
    'empty gzip members': Buffer.concat([empty, gzipSync(first), empty, gzipSync(second), empty]),
    'zeros behind a gzip member': Buffer.concat([gzipSync(bytes), Buffer.alloc(1024)]),
    'skippable zstd frames': Buffer.concat([
      skippable,
      ...[first, second].flatMap((part) => [zstdCompressSync(part), skippable]),
    ]),
    'nothing at all': Buffer.alloc(0),
  };
  for (const [name, blob] of Object.entries(layers)) {
    test(name, async () => {
      const found = await buffer(decompressed(Readable.from([blob]), 'here'));
      assert.ok(found.equals(blob.length === 0 ? blob : bytes));
    });
  }

  test('reads zstd frames in chunks of any size, without skippable ones', async () => {
    const blob = layers['skippable zstd frames']!;
    for (let size = 1; size <= 20; size++) {
      const chunks = Array.from({ length: Math.ceil(blob.length / size) }, (_, i) =>
        blob.subarray(i * size, (i + 1) * size),
      );
      const found = await buffer(decompressed(Readable.from(chunks), 'here'));
      assert.ok(found.equals(bytes), `${size}`);
      for await (const piece of splitFrames(Readable.from(chunks), 'here'))
        assert.ok(!Buffer.from(piece).includes('hello'));
    }
    const none = await buffer(decompressed(Readable.from([skippable]), 'here'));
    assert.equal(none.length, 0);
    for (const cut of [3, 6, skippable.length - 1]) {
      const stream = Buffer.concat([zstdCompressSync(bytes), skippable.subarray(0, cut)]);
      const refused = { kind: 'bad-input', message: /ends within a frame/ };
      await assert.rejects(buffer(decompressed(Readable.from([stream]), 'here')), refused);
    }
  });

  test('gives the decompressor no call for each of many skippable frames', async () => {
    const frame = Buffer.from('502a4d1800000000', 'hex');
    const blob = Buffer.concat([...Array<Buffer>(20_000).fill(frame), zstdCompressSync(bytes)]);
    const pieces = await Array.fromAsync(splitFrames(Readable.from([blob]), 'here'));
    assert.equal(pieces.length, 1);
  });

  test('refuses other compressions by name', async () => {
    const heads = {
      lz4: '02214c180000000000000000',
      lzma: '5d00008000ffffffffffffffff',
      lzop: '894c5a4f000d0a1a0a1040',
      zip: '504b0304140000000800',
      '7z': '377abcaf271c00040000',
    };
    for (const [name, head] of Object.entries(heads)) {
      const refused = {
        kind: 'bad-input',
        message: new RegExp(`compressed by ${name}, .*found ${name}, in here`),
      };
      await assert.rejects(buffer(decompressed(Readable.from([Buffer.from(head, 'hex')]), 'here')), refused);
    }
  });

  test('refuses garbage behind a gzip member', async () => {
    const blob = Buffer.concat([gzipSync(bytes), Buffer.from('garbage'.repeat(100))]);
    await assert.rejects(buffer(decompressed(Readable.from([blob]), 'here')), { kind: 'bad-input' });
  });

  test('reads layers without bytes, of zeros, and twice the same', async (t) => {
    const layout = join(await temporaryDirectory(t), 'image');
    const layers = [Buffer.alloc(0), Buffer.alloc(10_240), TAR, TAR, writeTar([])];
    await writeLayout(layout, layers);
    const image = await open(layout);
    for (const [i, layer] of image.layers.entries())
      assert.ok((await buffer(layer.tar())).equals(layers[i]!));
    const signature = await computeSignature(image, limits);
    assert.equal(signature.contentSize, 'welcome '.length * 100);
  });
});

describe('chooses an image of a docker archive', () => {
  const layer = writeTar([{ path: 'b', content: 'b' }]);
  const write = async (t: TestContext, tags: readonly unknown[]) => {
    const path = join(await temporaryDirectory(t), 'image.tar');
    const layers = [TAR, layer];
    const manifest = tags.map((RepoTags, i) => ({ Config: `${i}.json`, RepoTags, Layers: [`${i}.tar`] }));
    await writeFile(
      path,
      writeTar([
        ...tags.flatMap((_, i) => [
          { path: `./${i}.json`, content: configOf([layers[i]!]) },
          { path: `./${i}.tar`, content: layers[i]! },
        ]),
        { path: './manifest.json', content: JSON.stringify(manifest) },
      ]),
    );
    return path;
  };

  test('by any of its names', async (t) => {
    const path = await write(t, [['a:1', 'reg.example:5000/b:2', 7], null]);
    const named = await open(`docker-archive:${path}:a:1`);
    for (const name of ['reg.example:5000/b:2', 'docker.io/library/a:1', '@0']) {
      assert.equal((await open(`docker-archive:${path}:${name}`)).configDigest, named.configDigest, name);
    }
    assert.notEqual((await open(`docker-archive:${path}:@1`)).configDigest, named.configDigest);
    await assert.rejects(open(path), refusal('usage', /name one: .*a:1, @1/));
  });

  test('that has no name and is the only one', async (t) => {
    for (const tags of [null, [], undefined]) await open(await write(t, [tags]));
  });
});

describe('stops when a bound is certain to be passed', () => {
  test('in a zstd layer of 100 GB', async () => {
    const started = performance.now();
    const bomb = zeros(800_000);
    await assert.rejects(expand(bomb), refusal('limit', /maxExpansion: expected at most .* 1100 bytes/));
    await assert.rejects(
      expand(zeros(5_000), 1e6),
      refusal('limit', /over maxImageSize: expected at most 1000000/),
    );
    await expand(zeros(100));
    assert.ok(performance.now() - started < 20_000);
  });

  test('in a zstd frame with a window over 128 MiB', async () => {
    await expand(zeros(1, 17 << 3));
    await assert.rejects(
      expand(zeros(1, 18 << 3)),
      refusal('limit', /zstd window.*134217728 bytes, found 268435456/),
    );
  });

  test('in a sparse file: a large hole counts by its size', async (t) => {
    const directory = await temporaryDirectory(t);
    const layout = join(directory, 'image');
    const signature = async (entries: readonly TarFixture[]) => {
      const tar = writeTar(entries);
      await writeLayout(layout, [tar], { blobs: [gzipSync(tar)] });
      return computeSignature(await open(layout), limits);
    };
    const started = performance.now();
    const large = await signature([hole(9 * 1024 ** 3)]);
    const other = await signature([hole(9 * 1024 ** 3 + 1)]);
    assert.equal(large.contentSize, 9 * 1024 ** 3);
    assert.notDeepEqual(large.contents.digests, other.contents.digests);
    assert.ok(performance.now() - started < 30_000);
    const runs = Array.from({ length: 80 }, (_, i) => ({ offset: (i + 1) * 17 * 1024 ** 2, size: 1 }));
    const sparse = { format: '1.0', runs, size: 2 * 1024 ** 3, stored: Buffer.alloc(80) } as const;
    await assert.rejects(signature([{ path: 'holes', sparse }]), refusal('limit', /over maxExpansion/));
  });
});
