import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeReleases, objectsOf, runBackfill } from '../../support/backfill.ts';

test('a stored patch is skipped only if its bytes are those that the descriptor names', async (t) => {
  const names = ['a1', 'a2'];
  const directory = await makeReleases(t, names);
  await runBackfill(directory, names);
  const sound = await objectsOf(directory);
  const patch = Object.keys(sound).find((key) => key.endsWith('.xdelta'))!;
  const path = join(directory, 'store', patch);
  const bytes = await readFile(path);
  const flipped = Buffer.from(bytes);
  flipped[bytes.length >> 1]! ^= 1;
  const damages = [
    () => writeFile(path, flipped),
    () => writeFile(path, bytes.subarray(1)),
    () => writeFile(path, Buffer.concat([bytes, bytes.subarray(-1)])),
    () => rm(path),
  ];
  for (const damage of damages) {
    await damage();
    const { pairs } = await runBackfill(directory, names);
    assert.deepEqual(pairs.map(({ status }) => status).toSorted(), ['done', 'skipped']);
    assert.deepEqual(await objectsOf(directory), sound);
  }
});
