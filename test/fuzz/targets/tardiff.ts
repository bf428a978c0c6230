/** Patches of tar-diff. An input that starts with a zero byte is a patch; any other byte is followed by operations. */
import assert from 'node:assert/strict';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { MAGIC } from '../../../lib/delta/formats/ocidelta/tardiff/format.ts';
import type { Scope } from '../../support/scope.ts';
import { apply, diff, store } from '../../support/tardiff.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { smallLayers } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const MOST = 1 << 20;

export async function open(scope: Scope): Promise<FuzzTarget> {
  const directory = await temporaryDirectory(scope);
  const source = await store(directory, 'source', smallLayers(1));
  const patch = await diff(source, await store(directory, 'target', smallLayers(2)));
  const operations = zstdDecompressSync(patch.subarray(MAGIC.length));
  return {
    seeds: [Buffer.concat([Buffer.of(0), patch]), Buffer.concat([Buffer.of(1), operations])],
    kinds: ['bad-patch', 'limit'],
    words: ['\u0001\u0005etc/a', '\u0002\u0004', '\u0004\u0000', '\u0003\u0004abcd'],
    async run(input) {
      const body = input.subarray(1);
      const bytes = input[0] === 0 ? body : Buffer.concat([MAGIC, zstdCompressSync(body)]);
      const built = await apply(bytes, source.openFile, MOST);
      assert.ok(built.length <= MOST);
    },
  };
}
