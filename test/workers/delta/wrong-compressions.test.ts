/** A wrong record of a layer's compression makes no patch that a site refuses. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { objectsOf, runBackfill } from '../../support/backfill.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { applyPatch } from '../../support/patch.ts';
import { missing } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { writeTar } from '../../support/tar.ts';

interface Recipe {
  encoder: string;
  level: number;
  header: string;
}

/** Changes of a record that leave a recipe of the same encoder. */
const anotherLevel = (recipe: Recipe) => ({ ...recipe, level: recipe.level === 6 ? 9 : 6 });
const anotherHeader = (recipe: Recipe) => {
  const header = Buffer.from(recipe.header, 'base64');
  header[4]! ^= 1;
  return { ...recipe, header: header.toString('base64') };
};

test(
  'a wrong compression record is replaced before a patch carries it',
  { skip: missing('gzip') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const path = (...parts: readonly string[]) => join(directory, ...parts);
    const names = ['old', 'new'];
    const manifests: string[] = [];
    for (const [i, name] of names.entries()) {
      const layer = writeTar([{ path: 'text', content: createRandom(3).text(60_000 + i), mtime: i }]);
      // gzip -6 is an encoder that panamax knows
      const blobs = [execFileSync('gzip', ['-n', '-6'], { input: layer })];
      manifests.push((await writeLayout(path(name), [layer], { blobs })).manifestDigest);
    }
    const formats = ['xdelta', 'oci-delta'];
    const run = async () => {
      const { pairs } = await runBackfill(directory, ['new'], { sources: ['old'], formats });
      return pairs.map(({ status }) => status);
    };
    const records = path('store', 'compressions', 'v3');
    const damageRecords = async (damage: (recipe: Recipe) => Recipe) => {
      for (const name of await readdir(records)) {
        const { compression } = JSON.parse(await readFile(join(records, name), 'utf8')) as {
          compression: Recipe;
        };
        assert.notEqual(compression.encoder, 'corrected');
        const changed = { compression: damage(compression) };
        await writeFile(join(records, name), `${JSON.stringify(changed)}\n`);
      }
    };
    const patches = path('store', 'patches', manifests[1]!.replace(':', '-'));

    assert.deepEqual(await run(), ['done']);
    const sound = await objectsOf(directory);
    for (const damage of [anotherLevel, anotherHeader]) {
      await damageRecords(damage);
      await rm(patches, { recursive: true });
      assert.deepEqual(await run(), ['done']);
      assert.deepEqual(await objectsOf(directory), sound);
    }
    for (const patch of (await readdir(patches)).filter((name) => !name.endsWith('.json'))) {
      const output = path(`rebuilt-${patch.length}`);
      const { manifest } = await applyPatch(join(patches, patch), path('old'), `oci:${output}`);
      assert.equal(manifest, manifests[1]);
    }

    // beside sound patches: the difference shows
    await damageRecords(anotherLevel);
    assert.deepEqual(await run(), ['done']);
    assert.deepEqual(await objectsOf(directory), sound);
    assert.deepEqual(await run(), ['skipped']);
  },
);
