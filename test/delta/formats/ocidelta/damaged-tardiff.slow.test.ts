/** Random damage to tar-diffs, before and after their compression. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { PanamaxError } from '../../../../lib/errors.ts';
import { temporaryDirectory } from '../../../support/directory.ts';
import { createRandom } from '../../../support/random.ts';
import { AFTER, apply, BEFORE, diff, patchOf, store } from '../../../support/tardiff.ts';
import { writeTar } from '../../../support/tar.ts';

test('decoding a tar-diff with any damage fails or rebuilds the target', async (t) => {
  const directory = await temporaryDirectory(t);
  const source = await store(directory, 'source', [writeTar(BEFORE)]);
  const target = await store(directory, 'target', [writeTar(AFTER)]);
  const patch = await diff(source, target);
  const operations = zstdDecompressSync(patch.subarray(8));
  const next = createRandom(7);
  for (let i = 0; i < 3000; i++) {
    const inside = i % 2 === 0;
    const damaged = Buffer.from(inside ? operations : patch);
    for (let n = 0; n <= next.below(3); n++) damaged[next.below(damaged.length)] = next.below(256);
    const bytes = inside ? patchOf(damaged) : damaged;
    try {
      const built = await apply(bytes, source.openFile, target.bytes.length);
      assert.ok(built.length <= target.bytes.length);
    } catch (error) {
      assert.ok(error instanceof PanamaxError, (error as Error).stack);
      assert.ok(['bad-patch', 'limit'].includes(error.kind), error.message);
    }
  }
});
