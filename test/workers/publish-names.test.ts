/** Names at the end of a run. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, type Digest } from '../../lib/digest.ts';
import { keys } from '../../lib/store/keys.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { readName } from '../../lib/store/name.ts';
import { parseReleaseName } from '../../lib/image/oci/releasename.ts';
import { publishNames } from '../../workers/publish/name.ts';
import { makeReleases, runBackfill } from '../support/backfill.ts';

const nameOf = (tag: string) => `registry.example/team/app:${tag}`;

test('publishes every other name if the signature of one image is gone or damaged', async (t) => {
  const directory = await makeReleases(t, ['a1', 'a2']);
  const { images } = await runBackfill(directory, ['a1', 'a2']);
  const [first, second] = images.map((image) => (image as { manifest: Digest }).manifest);
  const store = await openDirectoryStore(join(directory, 'store'));
  const file = join(directory, 'store', keys.signature(second!));
  await writeFile(file, (await readFile(file)).subarray(1));

  const manifests = new Map<string, Digest>([
    [`docker://${nameOf('gone')}`, digestOf(Buffer.from('no image'))],
    [`docker://${nameOf('damaged')}`, second!],
    [`docker://${nameOf('sound')}`, first!],
  ]);
  const warnings: object[] = [];
  const log = { info() {}, warn: (fields: object) => void warnings.push(fields) };
  await publishNames([...manifests.keys()], manifests, { store, log });
  assert.deepEqual(
    warnings.map((fields) => (fields as { kind: string }).kind),
    ['not-found', 'bad-input'],
  );
  const published = async (tag: string) => readName(store, parseReleaseName(nameOf(tag)), 'linux/amd64');
  assert.equal((await published('sound'))?.target.manifest, first);
  for (const tag of ['gone', 'damaged']) assert.equal(await published(tag), undefined);
});
