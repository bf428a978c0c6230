/** Formats that are read in order rebuild the start of a target before the end of the patch has arrived. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatNamed, formatNames } from '../../lib/delta/formats.ts';
import { DEFAULT_LIMITS as limits } from '../../lib/limits.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { writeLayout } from '../support/layout.ts';
import { makePatch } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import { writeTar } from '../support/tar.ts';

const FILE_SIZE = 1024 ** 2;
const PIECE = 4096;

/** More than the format decodes at once: a group of `panamax` has 8 MiB, and a section 4 MiB of new bytes, a window of `xdelta` 8 MiB. */
const SIZES: Readonly<Record<string, { readonly files: number; readonly fresh: number }>> = {
  panamax: { files: 12, fresh: 500_000 },
  xdelta: { files: 20, fresh: 8000 },
};

function layer(name: string, release: number): Buffer {
  const { files, fresh } = SIZES[name]!;
  const random = createRandom(1);
  const entries = Array.from({ length: files }, (_, i) => {
    const content = random.bytes(FILE_SIZE);
    createRandom(release * files + i)
      .bytes(fresh)
      .copy(content);
    return { path: `file-${i}`, content };
  });
  return writeTar(entries);
}

for (const name of formatNames().filter((format) => formatNamed(format).traits.readsInOrder)) {
  test(`${name}: rebuilds the start of a target before the end of the patch is there`, async (t) => {
    const directory = await temporaryDirectory(t);
    const [source, target, path] = ['source', 'target', 'patch'].map((file) => join(directory, file));
    await writeLayout(source!, [layer(name, 1)], { compression: 'none' });
    await writeLayout(target!, [layer(name, 2)], { compression: 'none' });
    await makePatch(source!, target!, path!, name);
    const [bytes, expected] = [await readFile(path!), layer(name, 2)];
    let isOver = false;
    async function* arriving() {
      for (let at = 0; at < bytes.length; at += PIECE) {
        isOver = at + PIECE >= bytes.length;
        yield bytes.subarray(at, at + PIECE);
      }
    }

    // the file is not there
    const patch = await formatNamed(name).read(join(directory, 'missing'), limits, arriving);
    const scratch = join(directory, 'scratch');
    await mkdir(scratch);
    const context = { scratch, limits, signal: new AbortController().signal };
    const { stream } = await patch.apply({ sources: [source!] }, context);
    isOver = false;
    let at = 0;
    for await (const piece of stream) {
      assert.ok(at > 0 || !isOver, 'the whole patch is read before the first byte');
      assert.ok(expected.subarray(at, at + piece.length).equals(piece));
      at += piece.length;
    }
    assert.equal(at, expected.length);
  });
}
