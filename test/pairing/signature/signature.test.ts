/** Signatures: independent of layering, reproducible, and verified when they are read. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { fileRecords } from '../../../lib/pairing/signature/filetable.ts';
import {
  parseSignature,
  serializeSignature,
  type Signature,
} from '../../../lib/pairing/signature/signature.ts';
import { tlshDistance } from '../../../lib/pairing/signature/tlsh.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { digestOf, writeLayout, type LayoutOptions } from '../../support/layout.ts';
import { missing } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { releaseLayers } from '../../support/releases.ts';
import { latin1, writeTar, type TarFixture } from '../../support/tar.ts';

async function signatureOf(
  t: TestContext,
  layers: readonly (readonly TarFixture[])[],
  options?: LayoutOptions,
): Promise<Signature> {
  return signatureOfTars(t, layers.map(writeTar), options);
}

async function signatureOfTars(
  t: TestContext,
  layers: readonly Uint8Array[],
  options?: LayoutOptions,
): Promise<Signature> {
  const directory = await temporaryDirectory(t);
  await writeLayout(join(directory, 'image'), layers, options);
  const image = await openImage(await parseReference(join(directory, 'image')), { limits: DEFAULT_LIMITS });
  const signature = await computeSignature(image, join(directory, 'scratch'), DEFAULT_LIMITS);
  assert.deepEqual(await readdir(directory), ['image'], 'the scratch file is gone');
  return signature;
}

const text = (seed: number, size = 3000) => createRandom(seed).text(size);

/** The content of a sparse file, with zeros outside its runs. */
const HOLES = {
  runs: [
    { offset: 512, size: 700 },
    { offset: 9000, size: 100 },
  ],
  size: 20_000,
};
const SPARSE = Buffer.alloc(HOLES.size);
for (const { offset, size } of HOLES.runs) SPARSE.write(text(offset, size), offset);

const ENTRIES: readonly TarFixture[] = [
  { path: 'bin/', mode: 0o755 },
  {
    path: 'bin/sh',
    content: text(1),
    mode: 0o4755,
    xattrs: { 'user.one': 'x', 'security.capability': '\x01\0\xff' },
  },
  { path: 'bin/bash', type: 'hardlink', linkPath: 'bin/sh' },
  { path: 'bin/link', type: 'symlink', linkPath: 'sh' },
  { path: 'caf\xe9', content: text(2), uid: 1000, gid: 2000 },
  { path: 'caf\xc3\xa9', content: text(3) },
  { path: 'dev/' },
  { path: 'dev/null', type: 'char', devMajor: 1, devMinor: 3 },
  { path: 'dev/fifo', type: 'fifo' },
  { path: 'empty', content: '' },
  { path: 'sparse', content: SPARSE, sparse: { format: '1.0', ...HOLES } },
];

async function assertSame(
  t: TestContext,
  layers: readonly (readonly TarFixture[])[],
  options?: LayoutOptions,
) {
  const one = await signatureOf(t, [ENTRIES]);
  const other = await signatureOf(t, layers, options);
  assert.equal(other.contentDigest, one.contentDigest);
  assert.deepEqual(other.files, one.files);
  assert.equal(other.contentSize, one.contentSize);
  assert.equal(other.tlsh, one.tlsh);
  assert.equal(tlshDistance(one.tlsh!, other.tlsh!), 0);
}

describe('the content digest stays the same', () => {
  test('for other layers', (t) =>
    assertSame(t, [ENTRIES.slice(0, 4), ENTRIES.slice(4, 8), [], ENTRIES.slice(8)]));

  test('for another order of entries', (t) =>
    // a hardlink must come after its target
    assertSame(t, [[...ENTRIES.slice(4).toReversed(), ENTRIES[0]!, ENTRIES[3]!, ...ENTRIES.slice(1, 3)]]));

  test('for other times', (t) =>
    assertSame(t, [ENTRIES.map((entry, i) => ({ ...entry, mtime: 1_600_000_000.25 + i }))]));

  test('for other content that is hidden or replaced', (t) =>
    assertSame(t, [
      [
        { path: 'gone/' },
        { path: 'gone/file', content: text(9) },
        { path: 'empty', content: text(8) },
        { path: 'dev/', mode: 0o700 },
        { path: 'dev/old', content: text(7) },
      ],
      [{ path: '.wh.gone' }, { path: 'dev/.wh..wh..opq' }, ...ENTRIES],
    ]));

  test('for another tar format', (t) => {
    const layer = ENTRIES.map((entry): TarFixture => {
      if (entry.sparse) return { path: './sparse', content: SPARSE };
      return { ...entry, path: `./${entry.path}`, format: entry.xattrs ? 'pax' : 'gnu' };
    });
    return assertSame(t, [layer], { compression: 'none', architecture: 'arm64' });
  });
});

test('the content digest differs for any difference that is visible in a container', async (t) => {
  const { contentDigest } = await signatureOf(t, [ENTRIES]);
  const digests = new Set([contentDigest]);
  const changes: Partial<TarFixture>[] = [
    { content: text(1, 2999) },
    { mode: 0o755 },
    { uid: 1 },
    { gid: 1 },
    { path: 'bin/sh2' },
    { xattrs: { 'user.one': 'y' } },
    { xattrs: {} },
    { type: 'symlink', linkPath: 'dash', content: '' },
  ];
  const [bin, sh] = ENTRIES as readonly [TarFixture, TarFixture];
  const others = ENTRIES.slice(3);
  for (const change of changes) {
    digests.add((await signatureOf(t, [[bin, { ...sh, ...change }, ...others]])).contentDigest);
  }
  for (const i of [2, 5, 7])
    digests.add((await signatureOf(t, [ENTRIES.filter((_, at) => at !== i)])).contentDigest);
  digests.add(
    (
      await signatureOf(t, [
        ENTRIES.map((entry) => (entry.type === 'char' ? { ...entry, devMinor: 5 } : entry)),
      ])
    ).contentDigest,
  );
  assert.equal(digests.size, 1 + changes.length + 3 + 1);
});

const sha = (content: string | Buffer) => digestOf(Buffer.from(content));
const directory = (path: string) => [path, 'directory', '755', 0, 0, 0, '', 0, 0, ''];

describe('a signature follows docs/formats.md', () => {
  test('in its content digest', async (t) => {
    const { contentDigest, contentSize, files } = await signatureOf(t, [ENTRIES]);
    const shell = [
      'file',
      '4755',
      0,
      0,
      3000,
      '',
      0,
      0,
      sha(text(1)),
      'security.capability=0100ff',
      'user.one=78',
    ];
    const records = [
      directory(''),
      directory('bin'),
      ['bin/bash', ...shell],
      ['bin/link', 'symlink', '644', 0, 0, 0, 'sh', 0, 0, ''],
      ['bin/sh', ...shell],
      ['caf\xc3\xa9', 'file', '644', 0, 0, 3000, '', 0, 0, sha(text(3))],
      ['caf\xe9', 'file', '644', 1000, 2000, 3000, '', 0, 0, sha(text(2))],
      directory('dev'),
      ['dev/fifo', 'fifo', '644', 0, 0, 0, '', 0, 0, ''],
      ['dev/null', 'char', '644', 0, 0, 0, '', 1, 3, ''],
      ['empty', 'file', '644', 0, 0, 0, '', 0, 0, sha('')],
      ['sparse', 'file', '644', 0, 0, 20_000, '', 0, 0, sha(SPARSE)],
    ];
    const hash = createHash('sha256');
    for (const record of records) hash.update(latin1(`${record.join('\0')}\0\n`));
    assert.equal(contentDigest, `sha256:${hash.digest('hex')}`);
    assert.equal(contentSize, 3 * 3000 + 20_000);
    const found = [...fileRecords(files)];
    assert.deepEqual(
      found.map(({ path }) => path),
      records.map(([path]) => path),
    );
    assert.deepEqual(
      found.map(({ size, digest }) => [size, digest ?? '']),
      records.map((record) => [record[5], record[9]]),
    );
  });

  test('in its TLSH, compared with the reference program', { skip: missing('tlsh') }, async (t) => {
    const contents = [text(1), text(3), text(2), '', SPARSE];
    const directory = await temporaryDirectory(t);
    const path = join(directory, 'content');
    await writeFile(path, Buffer.concat(contents.map((content) => Buffer.from(content))));
    const { stdout } = await promisify(execFile)('tlsh', ['-f', path]);
    const { tlsh } = await signatureOf(t, [ENTRIES]);
    assert.equal(tlsh, stdout.split('\t')[0]);
  });

  test('without a TLSH for too little content', async (t) => {
    for (const layers of [[], [[]], [[{ path: 'a', content: text(1, 100) }]]]) {
      const { tlsh, files } = await signatureOf(t, layers);
      assert.equal(tlsh, null);
      assert.equal([...fileRecords(files)][0]?.path, '');
    }
  });

  test('in its image record', async (t) => {
    const layers = releaseLayers(3, 1);
    const { image } = await signatureOfTars(t, layers, { compression: ['zstd', 'none'] });
    assert.equal(image.platform, 'linux/amd64');
    assert.equal(digestOf(Buffer.from(image.manifestDocument)), image.manifest);
    assert.equal(digestOf(Buffer.from(image.configDocument)), image.config);
    assert.deepEqual(
      image.layers.map(({ diffID, size }) => ({ diffID, size })),
      layers.map((layer) => ({ diffID: digestOf(layer), size: layer.length })),
    );
    const [zstd, plain] = image.layers as [(typeof image.layers)[0], (typeof image.layers)[0]];
    assert.match(zstd.mediaType, /\+zstd$/);
    const { layers: written } = JSON.parse(image.manifestDocument) as { layers: { size: number }[] };
    assert.equal(zstd.pullSize, written[0]!.size);
    // an uncompressed layer is compressed by a push, so its pull size is an estimate
    assert.equal(plain.digest, plain.diffID);
    assert.ok(plain.pullSize < plain.size / 1.5);
  });
});

describe('a stored signature', () => {
  test('reads back the same', async (t) => {
    const signature = await signatureOf(t, [ENTRIES]);
    const bytes = await serializeSignature(signature);
    assert.deepEqual(await parseSignature(bytes, 'here'), signature);
    const again = await serializeSignature(await signatureOf(t, [ENTRIES]));
    assert.ok(again.equals(bytes), 'the same every time');
    const document = JSON.parse(zstdDecompressSync(bytes).toString()) as { version: number; files: object[] };
    assert.equal(document.version, 3);
    assert.ok(document.files.some((file) => 'path' in file && file.path === 'café'));
    const notUtf8 = { path64: latin1('caf\xe9').toString('base64') };
    assert.ok(document.files.some((file) => 'path64' in file && file.path64 === notUtf8.path64));
  });

  test('is refused with another version', async (t) => {
    const bytes = await serializeSignature(await signatureOf(t, [ENTRIES]));
    const document = JSON.parse(zstdDecompressSync(bytes).toString()) as object;
    for (const version of [0, 1, '2', undefined]) {
      const other = zstdCompressSync(JSON.stringify({ ...document, version }));
      const refusal = { kind: 'bad-input', message: /unknown signature version: expected 3.*in here/ };
      await assert.rejects(parseSignature(other, 'here'), refusal);
    }
  });

  test('is refused with any byte damaged', async (t) => {
    const signature = await signatureOf(t, [ENTRIES]);
    const bytes = await serializeSignature(signature);
    let harmless = 0;
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1 << (at % 8);
      const parse = () => parseSignature(damaged, 'here');
      try {
        assert.deepEqual(await parse(), signature);
        harmless++;
      } catch {
        await assert.rejects(parse, { kind: 'bad-input' }, `byte ${at}`);
      }
      if (at % 10 === 0)
        await assert.rejects(parseSignature(bytes.subarray(0, at), 'here'), { kind: 'bad-input' });
    }
    // a few bits of a zstd frame have no meaning
    assert.ok(harmless < 5, `${harmless} of ${bytes.length} not noticed`);
  });

  test('reads back the same for many files in several batches', async (t) => {
    const layer = Array.from({ length: 3000 }, (_, i) => ({
      path: `usr/"${i}", [{é`,
      content: text(i % 2000, 40),
    }));
    const signature = await signatureOf(t, [layer, layer.slice(2500)]);
    const bytes = await serializeSignature(signature);
    assert.deepEqual(await parseSignature(bytes, 'here'), signature);
    const document = JSON.parse(zstdDecompressSync(bytes).toString()) as {
      files: object[];
      layers: { files: object[] }[];
      contents: { digest: string }[];
    };
    assert.equal(document.files.length, 3002);
    assert.deepEqual(
      document.layers.map(({ files }) => files.length),
      [3000, 500],
    );
    assert.equal(document.contents.length, 2000);
    const [content] = document.contents;
    const twice = { ...document, contents: [...document.contents, content] };
    await assert.rejects(parseSignature(zstdCompressSync(JSON.stringify(twice)), 'here'), {
      kind: 'bad-input',
      message: /duplicate content/,
    });
    const tooFew = { ...document, contents: document.contents.slice(1) };
    await assert.rejects(parseSignature(zstdCompressSync(JSON.stringify(tooFew)), 'here'), {
      kind: 'bad-input',
      message: /index of a content out of range: expected below 1999/,
    });
    for (const text of [
      '{"version":3,"files":[{},]}',
      '{"version":3,"files":[',
      '{"version":3,"files":[{}}]}',
    ]) {
      await assert.rejects(parseSignature(zstdCompressSync(text), 'here'), { kind: 'bad-input' }, text);
    }
  });

  test('is refused if it expands beyond the limit', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2));
    const bombs = Buffer.concat(Array.from({ length: 20 }, () => bomb));
    await assert.rejects(parseSignature(bombs, 'here'), { kind: 'bad-input' });
  });
});
