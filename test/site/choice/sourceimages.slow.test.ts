/** Patches applied to images that have the layers of their source: another image, or several together. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { layersDigest } from '../../../lib/store/descriptor.ts';
import { findSourceImages } from '../../../lib/site/choice/sourceimages.ts';
import type { Resident } from '../../../lib/site/choice/resident.ts';
import { digestOf, writeLayout } from '../../support/layout.ts';
import { panamaxFails, panamaxJson } from '../../support/commands.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { createRandom } from '../../support/random.ts';
import { largeLayers, releaseLayers } from '../../support/releases.ts';
import { makeSiteStore, NAME } from '../../support/sitestore.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeTar } from '../../support/tar.ts';

type Sha = `sha256:${string}`;
const sha = (text: string) => digestOf(Buffer.from(text)) as Sha;

function resident(label: string, ...layers: string[]): Resident {
  const diffIDs = layers.map(sha);
  return {
    config: sha(label),
    manifests: [],
    diffIDs,
    label,
    isExported: false,
    reference: async () => label,
  };
}

test('findSourceImages finds few images that together have the layers', () => {
  const diffIDs = ['a', 'b', 'c'].map(sha);
  const source = {
    manifest: sha('m'),
    config: sha('source'),
    layers: layersDigest(diffIDs),
    size: 3,
    diffIDs,
  };
  const labels = (residents: Resident[], format: 'xdelta' | 'oci-delta' = 'xdelta') =>
    findSourceImages({ format, source }, residents)?.map(({ label }) => label);
  const ab = resident('ab', 'a', 'b');
  const c = resident('c', 'c', 'd');
  const b = resident('b', 'b');
  assert.deepEqual(labels([b, ab, c]), ['ab', 'c']);
  assert.deepEqual(labels([b, ab, c, resident('all', 'd', 'c', 'b', 'a')]), ['all']);
  assert.deepEqual(labels([ab, c, resident('source')]), ['source']);
  assert.deepEqual(labels([resident('copy', 'a', 'b', 'c'), ab]), ['copy']);
  assert.equal(labels([ab, b]), undefined);
  assert.equal(labels([]), undefined);
  // unpacked files, of one image
  assert.equal(labels([ab, c], 'oci-delta'), undefined);
  const { diffIDs: _, ...unlisted } = source;
  assert.equal(findSourceImages({ format: 'xdelta', source: unlisted }, [ab, c]), undefined);
});

test('apply accepts two images that together have the layers of the source', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const [base, application] = releaseLayers(1, 1) as [Buffer, Buffer];
  const other = writeTar([{ path: 'other', content: createRandom(3).bytes(2000) }]);
  await writeLayout(path('source'), [base, application]);
  await writeLayout(path('target'), releaseLayers(1, 2));
  await writeLayout(path('one'), [other, application]);
  await writeLayout(path('two'), [base]);
  await makePatch(path('source'), path('target'), path('patch'));
  await applyPatch(path('patch'), [path('one'), path('two')], `stream:${path('rebuilt')}`);
  assert.ok((await readFile(path('rebuilt'))).equals(Buffer.concat(releaseLayers(1, 2))));
  await assert.rejects(applyPatch(path('patch'), [path('one'), path('target')], `stream:${path('no')}`), {
    kind: 'wrong-source',
    message: /expected layer 0 sha256:\w+, found none/,
  });
  const streams = [`stream:${path('rebuilt')}`, path('two')];
  await assert.rejects(applyPatch(path('patch'), streams, `stream:${path('no')}`), { kind: 'usage' });
  await panamaxFails(
    'wrong-source',
    /not the source of this patch/,
    'apply',
    path('patch'),
    '--source',
    path('one'),
    '--output',
    `oci:${path('out')}`,
  );
});

test('pull applies a patch at a site that has the layers of its source only', async (t) => {
  const made = await makeSiteStore(t);
  const path = (name: string) => join(made.directory, name);
  const [noise, base, application] = largeLayers(1) as [Buffer, Buffer, Buffer];
  await writeLayout(path('noise'), [noise, application]);
  await writeLayout(path('base'), [base]);
  const pull = ['pull', `${NAME}:2`, '--store', made.store, ...made.site, '--engine', 'none'];
  const to = ['--output', `oci:${path('out')}:new`];
  await panamaxFails('no-patch', /none of 1 patches/, ...pull, '--source', path('noise'), ...to);
  interface Outcome {
    readonly method: string;
    readonly target: { readonly config: string };
    readonly patch: { readonly source: string };
  }
  const sources = ['--source', path('base'), '--source', path('noise')];
  const { method, target, patch } = await panamaxJson<Outcome>(...pull, ...sources, ...to);
  assert.equal(method, 'patch');
  assert.equal(target.config, made.images[1]!.configDigest);
  assert.equal(patch.source, `${path('noise')} + ${path('base')}`);
});
