/** Summaries of layers: a signature made from them is the same, and damaged ones are refused. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openImage, type Image } from '../../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { isSummaryOf, LAYER, type LayerSummary } from '../../../lib/pairing/signature/layercolumns.ts';
import {
  parseSignatureImage,
  readSignatureImage,
  serializeSignature,
} from '../../../lib/pairing/signature/stored.ts';
import { parseLayer, parseLayerHead, serializeLayer } from '../../../lib/pairing/signature/storedlayer.ts';
import { openTable } from '../../../lib/pairing/signature/table.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout, type LayoutOptions } from '../../support/layout.ts';
import { createRandom } from '../../support/random.ts';
import { sectionsOf, signatureWith } from '../../support/storedsignature.ts';
import { writeTar, type TarFixture } from '../../support/tar.ts';

const text = (seed: number, size = 3000) => createRandom(seed).text(size);

const LAYERS: readonly (readonly TarFixture[])[] = [
  [
    { path: 'bin/', mode: 0o755 },
    { path: 'bin/sh', content: text(1), mode: 0o4755, xattrs: { 'user.one': 'x', 'user.two': '\x01\0\xff' } },
    { path: 'bin/bash', type: 'hardlink', linkPath: 'bin/sh' },
    { path: 'bin/link', type: 'symlink', linkPath: 'sh' },
    { path: 'caf\xe9', content: text(2), uid: 1000, gid: 2000, mtime: 1_600_000_000.25 },
    { path: 'large', content: createRandom(9).bytes(1_500_000) },
    { path: 'old/file', content: text(3) },
    { path: 'dev/null', type: 'char', devMajor: 1, devMinor: 3 },
    {
      path: 'sparse',
      content: Buffer.alloc(20_000),
      sparse: { format: '1.0', runs: [{ offset: 512, size: 700 }], size: 20_000 },
    },
  ],
  [],
  [
    { path: './bin/sh', content: text(4), xattrs: { 'user.one': 'y' } },
    { path: 'same', content: text(2) },
    { path: '.wh.old' },
    { path: 'new/.wh..wh..opq' },
    { path: 'new/file', content: text(3) },
  ],
];

async function imageOf(
  t: TestContext,
  layers: readonly (readonly TarFixture[])[],
  options?: LayoutOptions,
): Promise<Image> {
  const path = join(await temporaryDirectory(t), 'image');
  await writeLayout(path, layers.map(writeTar), options);
  return openImage({ transport: 'oci', path }, { limits });
}

const unreadable = (): never => assert.fail('a layer is read');

/** An image whose layers cannot be read. */
function withoutLayers(image: Image): Image {
  return { ...image, layers: image.layers.map((layer) => ({ ...layer, blob: unreadable, tar: unreadable })) };
}

async function summariesOf(image: Image): Promise<{ signature: Buffer; stored: Buffer[] }> {
  const read: LayerSummary[] = [];
  const signature = await computeSignature(image, limits, [], (summary, i) => (read[i] = summary));
  return {
    signature: await serializeSignature(signature),
    stored: await Promise.all(read.map(serializeLayer)),
  };
}

test('a signature from stored summaries has the same bytes, and reads no layer', async (t) => {
  const image = await imageOf(t, LAYERS, { compression: ['gzip', 'none', 'zstd'] });
  const { signature, stored } = await summariesOf(image);
  const known = await Promise.all(stored.map((bytes) => parseLayer(bytes, 'here')));
  const again = await computeSignature(withoutLayers(image), limits, known);
  assert.ok((await serializeSignature(again)).equals(signature));
  // one layer read, the others known
  const mixed = await computeSignature(image, limits, [known[0], undefined, known[2]]);
  assert.ok((await serializeSignature(mixed)).equals(signature));
  // the layers of another image
  const other = await imageOf(t, [LAYERS[2]!, LAYERS[0]!], { compression: ['zstd', 'gzip'] });
  const swapped = await computeSignature(withoutLayers(other), limits, [known[2], known[0]]);
  assert.ok((await serializeSignature(swapped)).equals((await summariesOf(other)).signature));
});

test('limits hold for layers that are not read', async (t) => {
  const image = await imageOf(t, LAYERS);
  const { stored } = await summariesOf(image);
  const known = await Promise.all(stored.map((bytes) => parseLayer(bytes, 'here')));
  for (const lower of [{ maxImageSize: 1_000_000 }, { maxEntries: 5 }]) {
    const sign = computeSignature(withoutLayers(image), { ...limits, ...lower }, known);
    await assert.rejects(sign, { kind: 'limit', message: new RegExp(Object.keys(lower)[0]!) });
  }
});

test('a summary is of one diffID and of the blobs it was read from', async (t) => {
  const image = await imageOf(t, LAYERS);
  const [layer, , upper] = image.layers as [Image['layers'][0], unknown, Image['layers'][0]];
  const head = parseLayerHead((await summariesOf(image)).stored[0]!, 'here');
  assert.ok(isSummaryOf(head, layer));
  assert.ok(!isSummaryOf(head, { ...layer, diffID: upper.diffID }));
  assert.ok(!isSummaryOf(head, { ...layer, descriptor: upper.descriptor }), 'a false claim in a config');
  assert.ok(!isSummaryOf(head, { ...layer, descriptor: { ...layer.descriptor, size: 1 } }));
});

test('a stored summary is refused with a byte damaged, cut off, or of another version', async (t) => {
  const { stored } = await summariesOf(await imageOf(t, [LAYERS[2]!]));
  const [bytes] = stored as [Buffer];
  const refusal = { kind: 'bad-input' };
  // every byte of the head, and some of the sections
  for (let at = 0; at < bytes.length; at += at < 64 ? 1 : 7) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << (at % 8);
    await assert.rejects(parseLayer(damaged, 'here'), refusal, `byte ${at}`);
    assert.throws(() => parseLayerHead(damaged, 'here'), refusal, `byte ${at}`);
    await assert.rejects(parseLayer(bytes.subarray(0, at), 'here'), refusal);
  }
  const other = signatureWith(sectionsOf(bytes, 2), 2, 'PanamaxL');
  await assert.rejects(parseLayer(other, 'here'), { message: /unknown layer summary version: expected 1/ });
});

test('a stored summary with a right checksum is refused with a value out of its range', async (t) => {
  const { stored } = await summariesOf(await imageOf(t, [LAYERS[0]!]));
  const sections = sectionsOf(stored[0]!, 2);
  await parseLayer(signatureWith(sections, 1, 'PanamaxL'), 'here');
  const changes: readonly (readonly [column: string, value: number, at?: number])[] = [
    ['sizes', -1],
    ['offsets', 0.5],
    ['contentSizes', NaN],
    ['densities', 1.1],
    ['middleKeys', Infinity, -1],
    ['pathEnds', 1e6],
    ['linkEnds', 0, -1],
    ['modes', 0o10000],
    ['fileContents', 1e6],
    ['sampleEnds', 1e6],
    ['samples', 0, -1],
    ['middleEnds', 0, -1],
    ['xattrEntries', 1e6],
    ['xattrNameEnds', 1e6],
    ['xattrValueEnds', 0, -1],
    ['types', 7],
    ['levels', 32],
  ];
  for (const [name, value, at = 0] of changes) {
    const table = new Uint8Array(sections[1]!).buffer;
    const column = (
      openTable(LAYER, table, 'here') as Record<string, Float64Array | Uint32Array | Uint8Array>
    )[name]!;
    column[at < 0 ? column.length + at : at] = value;
    const damaged = signatureWith([sections[0]!, Buffer.from(table)], 1, 'PanamaxL');
    const message = new RegExp(`damaged column ${name}: .*in here`);
    await assert.rejects(parseLayer(damaged, 'here'), { kind: 'bad-input', message }, name);
  }
  // any value may be in a tar
  const free = ['uids', 'gids', 'devMajors', 'devMinors', 'digests'];
  const named = new Set([...changes.map(([name]) => name), ...free]);
  const left = Object.keys(LAYER).filter((name) => !named.has(name) && !name.endsWith('Bytes'));
  assert.deepEqual(left, []);
});

test('the record of a signature is read from its first bytes', async (t) => {
  const { signature } = await summariesOf(await imageOf(t, LAYERS));
  let taken = 0;
  async function* chunks() {
    for (let at = 0; at < signature.length; at += 64) {
      taken = Math.min(at + 64, signature.length);
      yield signature.subarray(at, taken);
    }
  }
  const record = await readSignatureImage(chunks(), 'here');
  assert.deepEqual(record, parseSignatureImage(signature, 'here'));
  const end = 40 + signature.readUInt32LE(16);
  assert.ok(taken >= end && taken < end + 64, `${taken} bytes`);
  for (const bytes of [signature.subarray(0, 20), signature.subarray(0, end - 1), Buffer.from('other')])
    await assert.rejects(readSignatureImage(asChunks(bytes), 'here'), { kind: 'bad-input' });
});

async function* asChunks(bytes: Buffer) {
  yield bytes;
}
