/** Chains of patches through images that the site does not have. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { readdir, rm } from 'node:fs/promises';
import { directChains, findChain } from '../../../lib/site/choice/chain.ts';
import type { Answer, Offer } from '../../../lib/site/offers/origin.ts';
import type { Resident } from '../../../lib/site/choice/resident.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { digestOf, writeLayout, type Layout } from '../../support/layout.ts';
import { panamax, panamaxFails, panamaxJson } from '../../support/commands.ts';
import { largeLayers } from '../../support/releases.ts';
import { skopeoConfig } from '../../support/skopeo.ts';

type Sha = `sha256:${string}`;
const sha = (text: string) => digestOf(Buffer.from(text)) as Sha;

const resident = (label: string): Resident => ({
  config: sha(label),
  manifests: [],
  diffIDs: [],
  label,
  isExported: false,
  reference: async () => label,
});

/** A store with these patches: target, source, bytes, format. */
function answers(
  patches: readonly (readonly [string, string, number, ('xdelta' | 'oci-delta')?])[],
  asked: string[] = [],
): (target: string) => Answer {
  const answer = (name: string): Answer => {
    const target = { manifest: sha(`m ${name}`), config: sha(name), layers: sha(`l ${name}`), size: 1e6 };
    const offers = patches.flatMap(([to, source, bytes, format = 'xdelta']): Offer[] =>
      to === name
        ? [
            {
              format,
              source: { config: sha(source), size: 1e6 },
              size: bytes * 1e6,
              digest: sha(`${to} ${source} ${format}`),
              pullSize: 1e9,
              verify() {},
              fetch: async () => {},
              async askSource() {
                asked.push(source);
                return answer(source);
              },
            },
          ]
        : [],
    );
    return { target, offers };
  };
  return answer;
}

const find = async (answer: Answer, limit = Infinity) => {
  const chain = await findChain(answer, [resident('a'), resident('z')], limit);
  return chain && { size: chain.size / 1e6, digests: chain.links.map(({ offer }) => offer.digest) };
};

describe('findChain', () => {
  test('finds the smallest chain of up to three patches', async () => {
    const answer = answers([
      ['d', 'c', 2],
      ['d', 'x', 1],
      ['c', 'b', 2],
      ['c', 'a', 9],
      ['b', 'a', 2],
      ['x', 'b', 9],
    ])('d');
    assert.deepEqual(directChains(answer, [resident('a')]), []);
    const digests = ['b a xdelta', 'c b xdelta', 'd c xdelta'].map(sha);
    assert.deepEqual(await find(answer), { size: 6, digests });
    assert.equal(await find(answer, 6e6), undefined);
    assert.equal(await find(answers([['d', 'c', 1]])('d')), undefined);
  });

  test('finds no chain of four patches and ignores circles', async () => {
    const long = answers([
      ['e', 'd', 1],
      ['d', 'c', 1],
      ['c', 'b', 1],
      ['b', 'a', 1],
      ['d', 'e', 1],
      ['c', 'd', 1],
    ]);
    assert.equal(await find(long('e')), undefined);
  });

  test('begins with any format and continues with formats that apply to a stream', async () => {
    const first = answers([
      ['c', 'b', 1],
      ['b', 'a', 1, 'oci-delta'],
    ]);
    assert.deepEqual((await find(first('c')))?.digests, ['b a oci-delta', 'c b xdelta'].map(sha));
    const second = answers([
      ['c', 'b', 1, 'oci-delta'],
      ['b', 'a', 1],
    ]);
    assert.equal(await find(second('c')), undefined);
  });

  test('looks up few images', async () => {
    const asked: string[] = [];
    const many = Array.from({ length: 100 }, (_, i) => ['t', `s${i}`, i] as const);
    assert.equal(await find(answers(many, asked)('t')), undefined);
    assert.equal(asked.length, 12);
  });
});

/** Releases 1 to 3, and patches from each to the next alone. */
async function makeReleases(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const path = (name: string | number) => join(directory, String(name));
  const images: Layout[] = [];
  for (const release of [1, 2, 3]) {
    images.push(await writeLayout(path(release), largeLayers(release)));
  }
  await panamax('keygen', path('owner'));
  const store = ['--store', path('store'), '--scratch', path('scratch'), '--sign', path('owner.key')];
  const make = async (target: number, source: number) => {
    await panamaxJson('backfill', path(target), '--sources', path(source), '--effort', 'fast', ...store);
  };
  await make(2, 1);
  await make(3, 2);
  return { directory, path, images, make };
}

test('pull applies two patches in order at a site two releases behind', async (t) => {
  const { path, images, make } = await makeReleases(t);
  interface Outcome {
    readonly method: string;
    readonly movedBytes: number;
    readonly pullBytes: number;
    readonly patch: { readonly size: number; readonly before: readonly unknown[] };
  }
  const name = `registry.example/app@${images[2]!.manifestDigest}`;
  const site = ['--state', path('state'), '--scratch', path('scratch'), '--engine', 'none'];
  const from = ['--store', path('store'), '--source', path(1), '--verify-key', path('owner.pub')];
  const pull = (...more: string[]) =>
    panamaxJson<Outcome>('pull', name, ...from, ...site, '--output', `oci:${path('out')}:new`, ...more);
  const dry = await pull('--dry-run');
  assert.equal(dry.patch.before.length, 1);
  const outcome = await pull();
  assert.equal(outcome.method, 'patch');
  assert.equal(outcome.patch.before.length, 1);
  assert.ok(outcome.movedBytes < 0.1 * outcome.pullBytes, `${outcome.movedBytes} of ${outcome.pullBytes}`);
  assert.equal(await skopeoConfig(`oci:${path('out')}:new`), images[2]!.configDigest);
  assert.deepEqual(await readdir(path('scratch')), []);
  assert.deepEqual(await readdir(join(path('state'), 'partial')), []);
  await rm(path('out'), { recursive: true });
  // keys of others, of one of the two
  await panamax('keygen', path('other'));
  const others = from.map((option) => option.replace('owner.pub', 'other.pub'));
  const output = ['--output', `oci:${path('out')}:new`];
  await panamaxFails('untrusted', /key/, 'pull', name, ...others, ...site, ...output);
  // a patch of its own is less
  await make(3, 1);
  assert.deepEqual((await pull()).patch.before, []);
});
