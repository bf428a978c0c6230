/** The encoders of an image's layers. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { EncoderRecipe } from '../../lib/compression/recipe.ts';
import { digestOf } from '../../lib/digest.ts';
import { findCompressions } from '../../lib/image/compression/find.ts';
import type { LayerStream } from '../../lib/image/layerstream.ts';
import type { StoredLayer } from '../../lib/image/stored.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { createRandom } from '../support/random.ts';
import { recompress } from '../support/recompress.ts';

const HEADER = 'H4sIAAAAAAAA/w==';
// a layer of gzip would be tried with corrections
const ZSTD: EncoderRecipe = { encoder: 'klauspost-zstd-1.13.6', level: 2, header: 'KLUv/QRo' };
const BLOCKS: EncoderRecipe = { encoder: 'pgzip-1.15.10', level: 5, blockSize: 256 * 1024, header: HEADER };
/** Larger than a sample. */
const LARGE = 4.5 * 1024 ** 2;

interface Layers {
  readonly layers: readonly StoredLayer[];
  readonly stream: LayerStream;
}

async function layersOf(t: TestContext, blobs: readonly (readonly [Buffer, Buffer])[]): Promise<Layers> {
  const path = join(await temporaryDirectory(t), 'stream');
  await writeFile(path, Buffer.concat(blobs.map(([tar]) => tar)));
  let end = 0;
  return {
    layers: blobs.map(([tar, blob]) => ({
      descriptor: { mediaType: 'application/gzip', digest: digestOf(blob), size: blob.length },
      diffID: digestOf(tar),
      async *blob() {
        yield blob;
      },
    })),
    stream: {
      parts: blobs.map(([tar]) => {
        end += tar.length;
        return { path, offset: end - tar.length, size: tar.length };
      }),
    },
  };
}

test('a layer of the source is taken for what its beginning shows, any other is compressed to its end', async (t) => {
  const tar = Buffer.alloc(LARGE, createRandom(1).text(100_000));
  const blob = recompress(ZSTD, tar);
  const damaged = Buffer.from(blob);
  damaged[damaged.length - 1]! ^= 1;
  const { layers, stream } = await layersOf(t, [
    [tar, blob],
    [tar, damaged],
  ]);
  assert.deepEqual(await findCompressions(layers, stream.parts), [ZSTD, undefined]);
  const sampled = new Set(layers.map(({ descriptor }) => descriptor.digest));
  assert.deepEqual(await findCompressions(layers, stream.parts, { sampled }), [ZSTD, ZSTD]);
});

test('the encoder of the largest layer is taken for others that several encoders make', async (t) => {
  const random = createRandom(2);
  const [small, large] = [Buffer.from(random.text(100_000)), Buffer.from(random.text(600_000))];
  const blobs = [small, large].map((tar) => [tar, recompress(BLOCKS, tar)] as const);
  const { layers, stream } = await layersOf(t, blobs);
  assert.deepEqual(await findCompressions(layers, stream.parts), [BLOCKS, BLOCKS]);
  // alone it is as likely made in larger blocks
  const alone = await findCompressions(layers.slice(0, 1), stream.parts.slice(0, 1));
  assert.deepEqual(alone, [{ ...BLOCKS, blockSize: 1024 ** 2 }]);
});
