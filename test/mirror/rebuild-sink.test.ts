/** Layers that grow in the cache while a patch makes them. */
import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { digestOf, type Digest } from '../../lib/digest.ts';
import { openImage } from '../../lib/image/open.ts';
import { findCompressions } from '../../lib/image/compression/find.ts';
import { layerSizes, unpackImage } from '../../lib/image/layerstream.ts';
import { imageRecord, withCompressions } from '../../lib/image/record.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { createSmallestFirst } from '../../lib/runtime/smallestfirst.ts';
import { openBlobCache } from '../../lib/mirror/blobcache.ts';
import { rebuildSink } from '../../lib/mirror/rebuildsink.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { createRandom } from '../support/random.ts';
import { releaseLayers } from '../support/releases.ts';
import { writeTar } from '../support/tar.ts';

const PIECE = 10_000;
const FAILS_AT = 50_000;

async function* piecesOf(bytes: Buffer, end = bytes.length): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < end; at += PIECE) yield bytes.subarray(at, Math.min(at + PIECE, end));
}

test('a layer that fails in the middle goes on from the upstream at that byte', async (t) => {
  const directory = await temporaryDirectory(t);
  const layers = releaseLayers(1, 1);
  const layout = join(directory, 'layout');
  await writeLayout(layout, layers, { compression: 'none' });
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  // the compression of the second layer is not known
  const record = imageRecord(
    image,
    layers.map(({ length }) => length),
    undefined,
    [{ encoder: 'none' }],
  );
  const [base, app] = image.layers.map(({ descriptor }) => descriptor);

  const cache = await openBlobCache(join(directory, 'cache'));
  const expectation = cache.expect([base!.digest, app!.digest]);
  const fetched: [Digest, number][] = [];
  const openBlob = (digest: Digest, start: number) => {
    fetched.push([digest, start]);
    return piecesOf(layers[digest === base!.digest ? 0 : 1]!.subarray(start));
  };
  const read = (blob: typeof base, start: number) =>
    buffer(cache.read(blob!, start, () => openBlob(blob!.digest, 0)));
  const readers = [read(base, 0), read(base, 0), read(base, FAILS_AT + 7), read(app, 3)];

  async function* failing() {
    yield* piecesOf(layers[0]!, FAILS_AT);
    throw new Error('damaged');
  }
  const sink = rebuildSink({
    cache,
    compressors: createSmallestFirst(2),
    signal: t.signal,
    openBlob: ({ digest }, start) => openBlob(digest, start),
    onBegin: (omitted) => {
      assert.deepEqual(omitted, [app!.digest]);
      expectation.drop(omitted);
    },
    onLayer: () => assert.fail('no layer is made from the patch alone'),
  });
  await assert.rejects(sink.write(record, failing(), directory), /damaged/);

  const [first, second, rest, other] = await Promise.all(readers);
  assert.deepEqual(first, layers[0]);
  assert.deepEqual(second, layers[0]);
  assert.deepEqual(rest, layers[0]!.subarray(FAILS_AT + 7));
  assert.deepEqual(other, layers[1]!.subarray(3));
  assert.deepEqual(
    fetched.toSorted(([, a], [, b]) => a - b),
    [
      [app!.digest, 0],
      [base!.digest, FAILS_AT],
    ],
  );
});

const noise = (size: number) => writeTar([{ path: `${size}`, content: createRandom(size).bytes(size) }]);

test('layers are made several at a time, the small ones first, and each once', async (t) => {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'layout');
  // the last is as the first
  const layers = [noise(90_000), noise(60_000), noise(20_000), noise(1_500_000), noise(90_000)];
  await writeLayout(layout, layers);
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  const stream = await unpackImage(image, join(directory, 'stream'), DEFAULT_LIMITS);
  const compressions = await findCompressions(image.layers, stream.parts);
  const record = withCompressions(imageRecord(image, layerSizes(stream)), compressions);
  const sizes = image.layers.map(({ descriptor }) => descriptor.size);

  const cache = await openBlobCache(join(directory, 'cache'));
  const made: number[] = [];
  const isBegun = Promise.withResolvers<void>();
  const crew = createSmallestFirst(1);
  // the first layer begins when all layers are there
  void crew.run(0, () => isBegun.promise);
  async function* pieces() {
    yield* piecesOf(Buffer.concat(layers));
    isBegun.resolve();
  }
  const sink = rebuildSink({
    cache,
    compressors: crew,
    signal: t.signal,
    openBlob: () => assert.fail('nothing fails'),
    onBegin: (omitted) => assert.deepEqual(omitted, []),
    onLayer: (size) => made.push(size),
  });
  const scratch = join(directory, 'scratch');
  await mkdir(scratch);
  await sink.write(record, pieces(), scratch);
  assert.deepEqual(made, [sizes[2], sizes[1], sizes[0], sizes[3]]);
  assert.deepEqual(await readdir(scratch), []);
  for (const { descriptor } of image.layers) {
    const found = await buffer(cache.read(descriptor, 0, () => assert.fail('it is held')));
    assert.equal(digestOf(found), descriptor.digest);
  }
});

test('a layer with wrong bytes before the failure is given to nobody as a whole', async (t) => {
  const directory = await temporaryDirectory(t);
  const cache = await openBlobCache(directory);
  const bytes = Buffer.from('the right bytes of a blob');
  const blob = { digest: digestOf(bytes), size: bytes.length };
  const writing = cache.write(blob, piecesOf(Buffer.from('THE right bytes of a blob')));
  const reading = buffer(cache.read(blob, 0, () => assert.fail('it is being written')));
  await assert.rejects(writing, /digest|does not make/);
  await assert.rejects(reading, /does not make/);
  assert.deepEqual(await buffer(cache.read(blob, 4, () => piecesOf(bytes))), bytes.subarray(4));
  assert.deepEqual(await readdir(join(directory, 'sha256')), [blob.digest.slice(7)]);
});

test('a wrong recipe makes no whole blob, and the next reader gets it from the upstream', async (t) => {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'layout');
  const layers = [noise(40_000), noise(30_000)];
  const blobs = layers.map((layer) => gzipSync(layer, { level: 1 }));
  await writeLayout(layout, layers, { blobs });
  const image = await openImage({ transport: 'oci', path: layout }, { limits: DEFAULT_LIMITS });
  const sizes = layers.map(({ length }) => length);
  const wrong = { encoder: 'none' } as const;
  const record = imageRecord(image, sizes, undefined, [wrong, wrong]);
  const cache = await openBlobCache(join(directory, 'cache'));
  const expectation = cache.expect(image.layers.map(({ descriptor }) => descriptor.digest));
  const openBlob = (digest: Digest, start: number) =>
    piecesOf(
      blobs[image.layers.findIndex(({ descriptor }) => descriptor.digest === digest)]!.subarray(start),
    );
  const read = (i: number) => {
    const { descriptor } = image.layers[i]!;
    return buffer(cache.read(descriptor, 0, () => openBlob(descriptor.digest, 0)));
  };
  const sink = rebuildSink({
    cache,
    compressors: createSmallestFirst(1),
    signal: t.signal,
    openBlob: ({ digest }, start) => openBlob(digest, start),
    onBegin: () => {},
    onLayer: () => assert.fail('no layer is right'),
  });
  const early = layers.map((_, i) => read(i));
  const results = Promise.allSettled(early);
  await assert.rejects(sink.write(record, piecesOf(Buffer.concat(layers)), directory), { kind: 'bad-patch' });
  expectation.drop();
  for (const [i, result] of (await results).entries()) {
    // a reader that comes after the failure is one of the next
    if (result.status === 'fulfilled') assert.deepEqual(result.value, blobs[i]);
  }
  for (const [i, blob] of blobs.entries()) assert.deepEqual(await read(i), blob);
});
