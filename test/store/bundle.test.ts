/** Parts of a store in one file, for a site without a network. */
import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import type { Digest } from '../../lib/digest.ts';
import { panamax, panamaxFails, panamaxJson } from '../support/commands.ts';
import { makeSiteStore, NAME } from '../support/sitestore.ts';

test('a bundle of a name brings its image to a site, signed as in the store', async (t) => {
  const site = await makeSiteStore(t, { sign: true });
  const path = (name: string) => join(site.directory, name);
  const bundle = path('bundle.tar');
  const store = ['--store', site.store];
  await panamaxFails(
    'not-found',
    /no patches for the name/,
    'bundle',
    `${NAME}:none`,
    ...store,
    '-o',
    bundle,
  );
  const { images, patches } = await panamaxJson<{ images: number; patches: number }>(
    'bundle',
    `${NAME}:2`,
    ...store,
    '-o',
    bundle,
  );
  assert.deepEqual([images, patches], [1, 1]);
  await rename(site.store, path('elsewhere'));

  const trust = ['--verify-key', path('owner.pub')];
  const places = ['--engine', 'none', '--source', path('1'), ...site.site];
  const pull = [
    'pull',
    `${NAME}:2`,
    '--store',
    bundle,
    ...trust,
    ...places,
    '--output',
    `oci:${path('out')}:new`,
  ];
  const { code, stderr } = await panamax(...pull);
  assert.equal(code, 0, stderr);

  const reader = await openStoreReader(bundle);
  const target = site.images[1]!.manifestDigest as Digest;
  const [offer] = (await readIndex(reader, target))!.patches;
  const patch = await buffer(await reader.open(offer!.key));
  assert.deepEqual(await buffer(await reader.open(offer!.key, 100)), patch.subarray(100));
  assert.equal(await reader.get('names/none'), undefined);
  await assert.rejects(reader.open('patches/none'), /no such object/);

  await writeFile(bundle, (await readFile(bundle)).subarray(0, 560));
  await assert.rejects(openStoreReader(bundle), /ends|bytes|tar/);
});
