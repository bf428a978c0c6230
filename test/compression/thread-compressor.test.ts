/** A thread that compresses makes the bytes that this thread makes. */
import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { candidates } from '../../lib/compression/encoders.ts';
import { recompressed } from '../../lib/compression/recompress.ts';
import type { Compression } from '../../lib/compression/recipe.ts';
import { recompressedInThread } from '../../lib/compression/threadcompressor.ts';
import { createRandom } from '../support/random.ts';

const HEADER = 'H4sIAAAAAAAA/w==';
const ZSTD_HEADER = 'KLUv/QRo';
const TEXT = Buffer.from(createRandom(1).text(700_000));

async function* pieces(size: number): AsyncGenerator<Buffer, void, void> {
  // one memory for all pieces, as decoders have it
  const memory = Buffer.alloc(size);
  for (let at = 0; at < TEXT.length; at += size) {
    const piece = TEXT.subarray(at, at + size);
    yield memory.subarray(0, piece.copy(memory));
  }
}

async function* failing(): AsyncGenerator<Buffer, void, void> {
  yield* pieces(200_000);
  throw new Error('damaged');
}

const recipes: readonly Compression[] = [
  { ...candidates('gzip')[0]!, header: HEADER },
  { ...candidates('zstd')[0]!, header: ZSTD_HEADER },
];

for (const recipe of recipes) {
  test(`makes the same bytes with ${recipe.encoder}`, async () => {
    const expected = await buffer(recompressed(pieces(100_000), recipe));
    for (const size of [60_000, 300_000, TEXT.length]) {
      assert.ok((await buffer(recompressedInThread(pieces(size), recipe))).equals(expected), `${size}`);
    }
  });
}

test('fails with the error of its input, and ends its thread', async () => {
  await assert.rejects(buffer(recompressedInThread(failing(), recipes[0]!)), /damaged/);
});
