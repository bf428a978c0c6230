/** Layers that grow in the cache while a patch makes them. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { digestOf, type Digest } from '../../lib/digest.ts';
import { openImage } from '../../lib/image/open.ts';
import { imageRecord } from '../../lib/image/record.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { openBlobCache } from '../../lib/mirror/blobcache.ts';
import { rebuildSink } from '../../lib/mirror/rebuildsink.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { releaseLayers } from '../support/releases.ts';

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
    openBlob,
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
