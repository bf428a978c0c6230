/** Formats that are read in order rebuild the start of a target before the end of the patch has arrived. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatNamed, formatNames } from '../../lib/delta/formats.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { makePatches } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import { writeTar } from '../support/tar.ts';

/** New bytes of two sections of format `panamax`, which are 4 MiB each. */
const FILES = 6;
const FILE_SIZE = 1_100_000;
const NEW = 1_000_000;
const PIECE = 4096;

function layer(release: number): Buffer {
  const random = createRandom(1);
  const files = Array.from({ length: FILES }, (_, i) => {
    const content = random.bytes(FILE_SIZE);
    createRandom(release * FILES + i)
      .bytes(NEW)
      .copy(content, 1000);
    return { path: `file-${i}`, content };
  });
  return writeTar(files);
}

test('rebuilds the start of a target before the end of the patch is there', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  for (const release of [1, 2])
    await writeLayout(path(`${release}`), [layer(release)], { compression: 'none' });
  const formats = formatNames().filter((name) => formatNamed(name).traits.readsInOrder);
  assert.deepEqual(formats.toSorted(), ['panamax', 'xdelta']);
  await makePatches(path('1'), path('2'), Object.fromEntries(formats.map((name) => [name, path(name)])));
  const expected = layer(2);

  for (const name of formats) {
    const bytes = await readFile(path(name));
    let isOver = false;
    async function* arriving() {
      for (let at = 0; at < bytes.length; at += PIECE) {
        isOver = at + PIECE >= bytes.length;
        yield bytes.subarray(at, at + PIECE);
      }
    }
    // the file is not there
    const patch = await formatNamed(name).read(path('missing'), DEFAULT_LIMITS, arriving);
    const scratch = path(`scratch-${name}`);
    await mkdir(scratch);
    const context = { scratch, limits: DEFAULT_LIMITS, signal: new AbortController().signal };
    const { stream } = await patch.apply({ sources: [path('1')] }, context);
    isOver = false;
    let at = 0;
    for await (const piece of stream) {
      if (at === 0) assert.ok(!isOver, `${name}: the whole patch is read before the first byte`);
      assert.ok(expected.subarray(at, at + piece.length).equals(piece), name);
      at += piece.length;
    }
    assert.equal(at, expected.length);
  }
});
