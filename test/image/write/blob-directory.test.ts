import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { createCompressor } from '../../../lib/compression/compressor.ts';
import type { Compression } from '../../../lib/compression/recipe.ts';
import { hexOf } from '../../../lib/digest.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { openImage } from '../../../lib/image/open.ts';
import { imageRecord, type ImageRecord } from '../../../lib/image/record.ts';
import { writeBlobs } from '../../../lib/image/write/blobdirectory.ts';
import type { GrowingBlob } from '../../../lib/image/write/growingblob.ts';
import { exactBlobs } from '../../../lib/image/write/imageblobs.ts';
import { imageSink } from '../../../lib/image/write/sink.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { snapshot, temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { createRandom } from '../../support/random.ts';
import { writeTar } from '../../support/tar.ts';

const GO: Compression = { encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' };
const NONE: Compression = { encoder: 'none' };

function goGzip(tar: Uint8Array): Buffer {
  const gzip = createCompressor({ encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' });
  return Buffer.concat([gzip.next(tar), gzip.end()]);
}

const tarOf = (seed: number) => writeTar([{ path: 'file', content: createRandom(seed).text(400_000) }]);
const FIRST = tarOf(1);
const SECOND = tarOf(2);

interface Made {
  readonly record: ImageRecord;
  readonly blobs: readonly Buffer[];
}

async function makeImage(
  directory: string,
  layers: readonly (readonly [tar: Buffer, blob: Buffer, compression: Compression | undefined])[],
): Promise<Made> {
  const tars = layers.map(([tar]) => tar);
  const blobs = layers.map(([, blob]) => blob);
  await writeLayout(directory, tars, { blobs });
  const image = await openImage(await parseReference(`oci:${directory}`), { limits: DEFAULT_LIMITS });
  const sizes = tars.map(({ length }) => length);
  const compressions = layers.map(([, , compression]) => compression);
  return { record: imageRecord(image, sizes, undefined, compressions), blobs };
}

async function* inPieces(stream: Buffer): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < stream.length; at += 50_000) yield stream.subarray(at, at + 50_000);
}

describe('a directory of blobs', () => {
  test('gets the blobs that the layout writer writes', async (t) => {
    const directory = await temporaryDirectory(t);
    const { record } = await makeImage(join(directory, 'image'), [
      [FIRST, goGzip(FIRST), GO],
      [SECOND, SECOND, NONE],
      [FIRST, goGzip(FIRST), GO],
    ]);
    const stream = Buffer.concat([FIRST, SECOND, FIRST]);
    const layout = { transport: 'oci', path: join(directory, 'layout') } as const;
    await imageSink(layout)(record, inPieces(stream));
    const begun: GrowingBlob[] = [];
    const blobs = exactBlobs(record, inPieces(stream));
    await writeBlobs(blobs, join(directory, 'blobs'), (blob) => begun.push(blob));
    const expected = await snapshot(join(directory, 'image', 'blobs'));
    assert.deepEqual(await snapshot(join(directory, 'layout', 'blobs')), expected);
    assert.deepEqual(await snapshot(join(directory, 'blobs')), expected);
    assert.equal(blobs.manifest.descriptor.digest, record.manifest);
    assert.deepEqual(
      begun.map(({ descriptor }) => descriptor.digest),
      [record.layers[0]!.digest, record.layers[1]!.digest],
    );
  });

  test('gives out bytes of a layer before the layer is complete', async (t) => {
    const directory = await temporaryDirectory(t);
    const { record, blobs } = await makeImage(join(directory, 'image'), [[FIRST, goGzip(FIRST), GO]]);
    const path = join(directory, 'blobs', 'sha256', hexOf(record.layers[0]!.digest));
    const received = Promise.withResolvers<void>();
    /** Holds back the end of the layer until a reader has bytes of its blob. */
    async function* stream(): AsyncGenerator<Uint8Array, void, void> {
      yield FIRST.subarray(0, 250_000);
      await received.promise;
      yield FIRST.subarray(250_000);
    }
    async function readGrowing(blob: GrowingBlob): Promise<Buffer> {
      const pieces: Uint8Array[] = [];
      for await (const piece of blob.read()) {
        if (pieces.length === 0) await assert.rejects(readFile(path), { code: 'ENOENT' });
        pieces.push(piece);
        received.resolve();
      }
      return Buffer.concat(pieces);
    }
    const readers: Promise<Buffer>[] = [];
    let begun: GrowingBlob | undefined;
    await writeBlobs(exactBlobs(record, stream()), join(directory, 'blobs'), (blob) => {
      begun = blob;
      readers.push(readGrowing(blob), buffer(blob.read(1000)));
    });
    assert.ok((await readers[0]!).equals(blobs[0]!));
    assert.ok((await readers[1]!).equals(blobs[0]!.subarray(1000)));
    await begun!.whole;
    assert.ok((await buffer(begun!.read(2000))).equals(blobs[0]!.subarray(2000)));
  });

  const damaged = Buffer.from(FIRST);
  damaged[399_000]! ^= 1;
  const better = createCompressor({ encoder: 'go', level: 9, header: 'H4sIAAAAAAAA/w==' });
  for (const [cause, blob, tar, message] of [
    ['a wrong recipe', Buffer.concat([better.next(FIRST), better.end()]), FIRST, /recipe does not make/],
    ['a damaged layer stream', goGzip(FIRST), damaged, /not its target/],
    ['a layer stream that ends early', goGzip(FIRST), FIRST.subarray(0, -1), /not its target/],
  ] as const) {
    test(`keeps no layer of ${cause}, but those before it`, async (t) => {
      const directory = await temporaryDirectory(t);
      const { record } = await makeImage(join(directory, 'image'), [
        [SECOND, goGzip(SECOND), GO],
        [FIRST, blob, GO],
      ]);
      const readers: Promise<unknown>[] = [];
      const blobs = exactBlobs(record, inPieces(Buffer.concat([SECOND, tar])));
      const expected = { kind: 'bad-patch', message };
      await assert.rejects(
        writeBlobs(blobs, join(directory, 'blobs'), (begun) => {
          const isFirst = readers.length === 0;
          readers.push(isFirst ? buffer(begun.read()) : assert.rejects(buffer(begun.read()), expected));
        }),
        expected,
      );
      assert.equal(readers.length, 2);
      await Promise.all(readers);
      const kept = [hexOf(record.layers[0]!.digest)];
      assert.deepEqual(await readdir(join(directory, 'blobs', 'sha256')), kept);
    });
  }

  test('omits a layer that is not reproducible and gets the others', async (t) => {
    const directory = await temporaryDirectory(t);
    const { record } = await makeImage(join(directory, 'image'), [
      [FIRST, zstdCompressSync(FIRST), undefined],
      [SECOND, goGzip(SECOND), GO],
    ]);
    const [first, second] = record.layers;
    const blobs = exactBlobs(record, inPieces(Buffer.concat([FIRST, SECOND])));
    assert.deepEqual(
      blobs.omitted.map(({ digest }) => digest),
      [first!.digest],
    );
    await writeBlobs(blobs, join(directory, 'blobs'));
    const expected = [second!.digest, record.config, record.manifest].map(hexOf).toSorted();
    assert.deepEqual((await readdir(join(directory, 'blobs', 'sha256'))).toSorted(), expected);
    // the tar of an omitted layer is verified all the same
    const wrong = exactBlobs(record, inPieces(Buffer.concat([damaged, SECOND])));
    await assert.rejects(writeBlobs(wrong, join(directory, 'wrong')), { kind: 'bad-patch' });
    assert.deepEqual(await readdir(join(directory, 'wrong', 'sha256')), []);
  });
});
