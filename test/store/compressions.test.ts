/** Records of the compressions of layers. */
import assert from 'node:assert/strict';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../lib/digest.ts';
import { loadCompressions, storeCompressions } from '../../lib/store/compressions.ts';
import { keys } from '../../lib/store/keys.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { temporaryDirectory } from '../support/directory.ts';

test('a search without result is repeated after 30 days, a found compression is kept', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(directory);
  const [none, found] = [digestOf('none'), digestOf('found')];
  const plain = { encoder: 'none' } as const;
  const known = new Map([
    [none, null],
    [found, plain],
  ]);
  await storeCompressions(store, known);
  const age = async (days: number) => {
    const time = Date.now() / 1000 - days * 24 * 3600;
    for (const layer of known.keys()) await utimes(join(directory, keys.compression(layer)), time, time);
    return new Map(await loadCompressions(store, known.keys()));
  };
  assert.deepEqual(await age(29), known);
  assert.deepEqual(await age(31), new Map([[found, plain]]));
  await storeCompressions(store, new Map([[none, null]]));
  assert.deepEqual(new Map(await loadCompressions(store, [none])), new Map([[none, null]]));
});
