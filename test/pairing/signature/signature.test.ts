/** Signatures: independent of layering, reproducible, and verified when they are read. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { fileRecords } from '../../../lib/pairing/signature/filetable.ts';
import type { Signature } from '../../../lib/pairing/signature/signature.ts';
import { contentCount } from '../../../lib/pairing/signature/contents.ts';
import { LISTING } from '../../../lib/pairing/signature/listing.ts';
import { PROFILE, profileOf } from '../../../lib/pairing/signature/profile.ts';
import {
  parseProfile,
  parseSignature,
  parseSignatureImage,
  serializeSignature,
  viewProfile,
} from '../../../lib/pairing/signature/stored.ts';
import { openTable } from '../../../lib/pairing/signature/table.ts';
import { sectionsOf, signatureWith } from '../../support/storedsignature.ts';
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
  const signature = await computeSignature(image, DEFAULT_LIMITS);
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

/** The 16 KiB in the middle. */
function middleOf(content: Buffer): Buffer {
  const start = Math.max(0, Math.floor((content.length - 16_384) / 2));
  return content.subarray(start, start + 16_384);
}

async function referenceTlsh(t: TestContext, contents: readonly Buffer[]): Promise<string> {
  const path = join(await temporaryDirectory(t), 'content');
  await writeFile(path, Buffer.concat(contents));
  const { stdout } = await promisify(execFile)('tlsh', ['-f', path]);
  return stdout.split('\t')[0]!;
}

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
    const contents = [text(1), text(3), text(2), '', SPARSE].map((content) => Buffer.from(content));
    const { tlsh } = await signatureOf(t, [ENTRIES]);
    assert.equal(tlsh, await referenceTlsh(t, contents.map(middleOf)));

    const files = Array.from({ length: 2000 }, (_, i) => ({
      path: `${i % 9}/${String(i).padStart(4, '0')}`,
      content: text(i, i),
    }));
    const byPath = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const sampled = (some: typeof files) => {
      let size = 0;
      const byDigest = some
        .map(({ content }) => [sha(content), content.length] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1));
      const chosen = new Set(
        byDigest.filter(([, length]) => (size += length) <= 1_048_576).map(([digest]) => digest),
      );
      assert.ok(chosen.size > 100 && chosen.size < some.length, `${chosen.size}`);
      return some
        .filter(({ content }) => chosen.has(sha(content)))
        .map(({ content }) => Buffer.from(content));
    };
    const many = await signatureOf(t, [files.slice(0, 1000), files.slice(1000)]);
    assert.equal(many.tlsh, await referenceTlsh(t, sampled(byPath).map(middleOf)));
    // 1,000 files of 1,000 to 1,999 bytes
    const upper = await referenceTlsh(t, sampled(files.slice(1000)).map(middleOf));
    assert.equal(many.layers[1]!.tlsh, upper);
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
    assert.deepEqual(parseSignatureImage(bytes, 'here'), signature.image);
    const again = await serializeSignature(await signatureOf(t, [ENTRIES]));
    assert.ok(again.equals(bytes), 'the same every time');
    const [document, , listing] = sectionsOf(bytes) as [Buffer, Buffer, Buffer];
    assert.equal((JSON.parse(document.toString()) as Signature).contentDigest, signature.contentDigest);
    // paths are bytes, not always UTF-8
    for (const path of ['caf\xe9', 'caf\xc3\xa9']) assert.ok(listing.includes(latin1(path)));
  });

  test('is refused with another version', async (t) => {
    const sections = sectionsOf(await serializeSignature(await signatureOf(t, [ENTRIES])));
    for (const version of [0, 1, 3, 5]) {
      const other = signatureWith(sections, version);
      const refusal = { kind: 'bad-input', message: /unknown signature version: expected 4.*in here/ };
      await assert.rejects(parseSignature(other, 'here'), refusal);
    }
  });

  test('is refused with any byte damaged, and cut off anywhere', async (t) => {
    const bytes = await serializeSignature(await signatureOf(t, [ENTRIES]));
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1 << (at % 8);
      await assert.rejects(parseSignature(damaged, 'here'), { kind: 'bad-input' }, `byte ${at}`);
      assert.throws(() => parseSignatureImage(damaged, 'here'), { kind: 'bad-input' }, `byte ${at}`);
      assert.throws(() => parseProfile(damaged, 'here'), { kind: 'bad-input' }, `byte ${at}`);
      if (at % 10 === 0)
        await assert.rejects(parseSignature(bytes.subarray(0, at), 'here'), { kind: 'bad-input' });
    }
  });

  test('reads back the same for many files in several layers', async (t) => {
    const layer = Array.from({ length: 3000 }, (_, i) => ({
      path: `usr/"${i}", [{é`,
      content: text(i % 2000, 40),
    }));
    const signature = await signatureOf(t, [layer, [], layer.slice(2500)]);
    const bytes = await serializeSignature(signature);
    assert.deepEqual(await parseSignature(bytes, 'here'), signature);
    assert.deepEqual(viewProfile(parseProfile(bytes, 'here')), profileOf(signature));
    assert.equal(signature.files.kinds.length, 3002);
    assert.deepEqual(
      signature.layers.map(({ files }) => files.contents.length),
      [3000, 0, 500],
    );
    assert.equal(contentCount(signature.contents), 2000);
  });
});

/** Changes one column of one section, with a right checksum. */
function withColumn(
  bytes: Buffer,
  section: 1 | 2,
  change: (columns: Record<string, NumberColumn>) => void,
): Buffer {
  const sections = sectionsOf(bytes);
  const scheme = [PROFILE, LISTING][section - 1]!;
  const table = new Uint8Array(sections[section]!).buffer;
  change(openTable(scheme, table, 'here'));
  return signatureWith(sections.with(section, Buffer.from(table)));
}

type NumberColumn = Float64Array | Uint32Array | Uint8Array;

describe('a stored signature with a right checksum is refused', () => {
  /** Large enough for samples at several levels, and for two layers. */
  const layers = [
    [...ENTRIES, { path: 'large', content: createRandom(9).bytes(1_500_000) }],
    [{ path: 'more', content: text(4, 60_000) }],
  ];
  let stored: Promise<Buffer> | undefined;
  const storedOf = (t: TestContext) => (stored ??= signatureOf(t, layers).then(serializeSignature));

  const changes: readonly (readonly [section: 1 | 2, column: string, value: number, at?: number])[] = [
    [1, 'sizes', -1],
    [1, 'sizes', 0.5],
    [1, 'sizes', NaN],
    [1, 'sizes', 2 ** 53],
    [1, 'densities', NaN],
    [1, 'densities', Infinity],
    [1, 'densities', -0.1],
    [1, 'densities', 1.1],
    [1, 'contentKeys', Infinity],
    [1, 'contentKeys', NaN],
    [1, 'contentKeys', -1],
    [1, 'pathKeys', 2 ** 60],
    [1, 'pathKeys', NaN],
    [1, 'familyKeys', Infinity, -1],
    [1, 'keyedContents', 1e6],
    [1, 'firstFiles', 1e6],
    [1, 'firstFiles', 1],
    [1, 'sampleEnds', 1e6],
    [1, 'sampleEnds', 0, -1],
    [1, 'sampleValues', 1e6],
    [1, 'sampleValues', 0, -1],
    [1, 'values', 2 ** 32 - 1],
    [1, 'pathFiles', 1e6],
    [1, 'familyEnds', 0],
    [1, 'familyEnds', 1e6, -1],
    [1, 'familyFiles', 1e6],
    [1, 'fileContents', 1e6],
    [1, 'filePaths', 1e6],
    [1, 'fileFamilies', 1e6],
    [1, 'layerEnds', 1e6],
    [1, 'layerEnds', 0, -1],
    [1, 'levels', 32],
    [1, 'valueLevels', 32],
    [2, 'pathEnds', 1e6],
    [2, 'pathEnds', 0, -1],
    [2, 'nodeEnds', 1e6],
    [2, 'nodeContents', 0],
    [2, 'nodeContents', 1e6, -1],
    [2, 'nodeKinds', 6],
  ];

  test('with a value out of its range in any column', async (t) => {
    const bytes = await storedOf(t);
    await parseSignature(bytes, 'here');
    for (const [section, name, value, at = 0] of changes) {
      const damaged = withColumn(bytes, section, (columns) => {
        const column = columns[name]!;
        column[at < 0 ? column.length + at : at] = value;
      });
      const refusal = { kind: 'bad-input', message: new RegExp(`damaged column ${name}: .*in here`) };
      await assert.rejects(parseSignature(damaged, 'here'), refusal, `${name} ${value}`);
      if (section === 1) assert.throws(() => parseProfile(damaged, 'here'), refusal, `${name} ${value}`);
    }
    const named = new Set(changes.map(([section, name]) => `${section} ${name}`));
    const columns = [PROFILE, LISTING].flatMap((scheme, i) =>
      Object.keys(scheme).map((name) => `${i + 1} ${name}`),
    );
    // bytes of any value
    const free = ['2 digests', '2 pathBytes', '2 nodeBytes'];
    assert.deepEqual(columns.filter((name) => !named.has(name)).toSorted(), free.toSorted());
  });

  test('with a content that is there twice', async (t) => {
    const bytes = await storedOf(t);
    const damaged = withColumn(bytes, 2, ({ digests }) => digests!.copyWithin(32, 0, 32));
    await assert.rejects(parseSignature(damaged, 'here'), { kind: 'bad-input', message: /digests/ });
  });

  test('with counts that do not make up a table', async (t) => {
    const sections = sectionsOf(await storedOf(t));
    for (const section of [1, 2]) {
      for (let at = 0; at < 16; at += 4) {
        const table = Buffer.from(sections[section]!);
        table.writeUInt32LE(0xffffffff, at);
        const damaged = signatureWith(sections.with(section, table));
        const refusal = { kind: 'bad-input', message: /counts of a table.*in here/ };
        await assert.rejects(parseSignature(damaged, 'here'), refusal);
      }
      for (const size of [0, 8, 100]) {
        const damaged = signatureWith(sections.with(section, sections[section]!.subarray(0, size)));
        await assert.rejects(parseSignature(damaged, 'here'), { kind: 'bad-input' });
      }
    }
  });

  test('with columns of another image', async (t) => {
    const sections = sectionsOf(await storedOf(t));
    const others = sectionsOf(await serializeSignature(await signatureOf(t, [ENTRIES])));
    for (const section of [1, 2] as const) {
      const foreign = others[section]!;
      const damaged = signatureWith(sections.with(section, foreign));
      await assert.rejects(parseSignature(damaged, 'here'), { kind: 'bad-input' });
    }
  });

  test('if a section expands to more than its size', async (t) => {
    const sections = sectionsOf(await serializeSignature(await signatureOf(t, [ENTRIES])));
    const bytes = signatureWith(sections.with(1, Buffer.alloc(64 * 1024 ** 2)));
    for (const size of [2 ** 32 - 1, 1000, 0]) {
      bytes.writeUInt32LE(size, 28);
      bytes.writeUInt32LE(crc32(bytes.subarray(16)), 12);
      await assert.rejects(parseSignature(bytes, 'here'), {
        kind: 'bad-input',
        message: /damaged signature/,
      });
      assert.throws(() => parseProfile(bytes, 'here'), { kind: 'bad-input', message: /damaged signature/ });
    }
  });
});
