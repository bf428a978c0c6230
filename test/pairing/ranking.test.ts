/** Comparison and ranking of sources. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../lib/errors.ts';
import { compareSignatures, rankCandidates, scopeOf } from '../../lib/pairing/ranking.ts';
import { textColumn, wordsColumn } from '../../lib/runtime/column.ts';
import { contentAt, contentCount, contentsOf, createContents } from '../../lib/pairing/signature/contents.ts';
import { digestBytes } from '../../lib/pairing/signature/digestset.ts';
import { fileTableOf, type FileRecord } from '../../lib/pairing/signature/filetable.ts';
import type { Signature } from '../../lib/pairing/signature/signature.ts';
import { makeReleases, runBackfill } from '../support/backfill.ts';
import { digestOf, writeLayout } from '../support/layout.ts';
import { panamax, panamaxFails, panamaxJson, panamaxWith } from '../support/commands.ts';
import { releaseLayers } from '../support/releases.ts';

const sha = (text: string) => digestOf(Buffer.from(text)) as `sha256:${string}`;

/** A signature of one layer with these files. Equal strings are equal contents, and their lengths are the file sizes. */
function signature(name: string, files: Record<string, string>, tlsh: string | null = null): Signature {
  const records = Object.entries(files).map(([path, content]): FileRecord => {
    if (path.endsWith('/')) return { path, kind: 'directory', size: 0 };
    return { path, kind: 'file', size: content.length, digest: sha(content) };
  });
  const contents = createContents();
  const paths = textColumn();
  const numbers = wordsColumn();
  for (const { path, size, digest } of records) {
    if (!digest) continue;
    const sketch = { density: 0.4, level: 0, samples: new Uint32Array() };
    paths.push(path);
    numbers.push(contents.add(digestBytes(digest), size, sketch));
  }
  const size = 100_000;
  const layer = {
    diffID: sha(`${name} layer`),
    size,
    digest: sha(`${name} blob`),
    mediaType: '',
    pullSize: size / 2,
  };
  return {
    image: {
      manifest: sha(name),
      manifestDocument: '',
      config: sha(`${name} config`),
      configDocument: '{}',
      platform: 'linux/amd64',
      layers: [layer],
    },
    contentDigest: sha(`${name} content`),
    contentSize: 0,
    tlsh,
    files: fileTableOf(records),
    layers: [
      {
        tlsh: null,
        entries: records.length,
        files: { paths: paths.finish(), contents: numbers.finish() },
      },
    ],
    contents: contents.finish(),
  };
}

/** The same signature with a hundred consecutive samples per content. */
function withSamples(one: Signature, starts: readonly number[]): Signature {
  return {
    ...one,
    contents: contentsOf(
      Array.from({ length: contentCount(one.contents) }, (_, i) => ({
        ...contentAt(one.contents, i),
        samples: Uint32Array.from({ length: 100 }, (_, k) => starts[i]! + k),
      })),
    ),
  };
}

describe('a comparison', () => {
  const target = signature('target', {
    'etc/': '',
    'etc/same': 'aaaa',
    'etc/moved': 'bbbbb',
    'etc/changed': 'cccccc',
    'etc/was-directory': 'ddddddd',
    'usr/lib1.so': 'ffff',
    'etc/new': 'eeeeeeee',
    'etc/new-too': 'eeeeeeee',
  });
  const source = signature('source', {
    'etc/same': 'aaaa',
    'usr/other': 'bbbbb',
    'etc/changed': 'before',
    'opt/lib0.so': 'F',
    'etc/was-directory/': '',
    gone: 'x',
  });

  test('counts identical, changed and new bytes', () => {
    const { identicalBytes, changedBytes, newBytes, sharedLayerBytes, pullSize, tlshDistance } =
      compareSignatures(target, source);
    // the second of two new files with the same content counts as identical
    assert.deepEqual(
      { identicalBytes, changedBytes, newBytes },
      { identicalBytes: 9 + 8, changedBytes: 6 + 4, newBytes: 7 + 8 },
    );
    assert.equal(sharedLayerBytes, 0);
    assert.equal(pullSize, 50_000);
    assert.equal(tlshDistance, null);
  });

  test('counts a new file as changed if an earlier new file is similar', () => {
    const twice = signature('twice', { a: 'a'.repeat(50_000), b: 'b'.repeat(50_000) });
    const none = signature('none', {});
    const different = compareSignatures(withSamples(twice, [0, 1000]), none);
    const alike = compareSignatures(withSamples(twice, [0, 2]), none);
    assert.deepEqual([different.changedBytes, different.newBytes], [0, 100_000]);
    assert.deepEqual([alike.changedBytes, alike.newBytes], [50_000, 50_000]);
    for (const format of ['xdelta', 'oci-delta'] as const) {
      const costs = [alike, different].map(({ predictions }) => predictions[format]!.size);
      assert.ok(costs[0]! < 0.6 * costs[1]!, costs.join());
    }
  });

  test('finds all bytes of an image in itself', () => {
    const { changedBytes, newBytes, sharedLayerBytes, pullSize } = compareSignatures(target, target);
    assert.deepEqual([changedBytes, newBytes, sharedLayerBytes, pullSize], [0, 0, 100_000, 0]);
  });
});

/** TLSH digests at a large distance. */
const ZEROS = '0'.repeat(70);
const ONES = 'F'.repeat(70);

describe('a ranking', () => {
  const target = signature('target', { a: 'x'.repeat(50_000), b: 'y'.repeat(50_000) }, ZEROS);

  test('orders by predicted patch size, then by TLSH distance, then by digest', () => {
    const half = { a: 'x'.repeat(50_000) };
    const sources = [
      signature('far', half, ONES),
      signature('unknown', half, null),
      signature('near-1', half, ZEROS),
      signature('near-2', half, ZEROS),
      signature('none', {}, ZEROS),
      signature('all', { x: 'x'.repeat(50_000), y: 'y'.repeat(50_000) }, ONES),
      target,
    ];
    const near = ['near-1', 'near-2'].toSorted((a, b) => (sha(a) < sha(b) ? -1 : 1));
    const expected = ['all', ...near, 'far', 'unknown', 'none'].map(sha);
    for (const order of [sources, sources.toReversed()]) {
      const { candidates } = rankCandidates(
        target.image.manifest,
        order.map((source) => compareSignatures(target, source)),
      );
      assert.deepEqual(
        candidates.map((candidate) => candidate.source),
        expected,
      );
    }
  });

  test('has a scope that depends on its set of sources only', () => {
    const [a, b] = [sha('a'), sha('b')];
    assert.equal(scopeOf([a, b]), scopeOf([b, a]));
    assert.notEqual(scopeOf([a, b]), scopeOf([a]));
    assert.match(scopeOf([]), /^[0-9a-f]{16}$/);
  });
});

test('ranks releases of the same image first, and real patches confirm it', async (t) => {
  const names = ['a1', 'a2', 'b1'];
  const directory = await makeReleases(t, names);
  // a rebuild: the same content with other times and layers
  const rebuilt = releaseLayers('a'.charCodeAt(0), 2).toReversed();
  await writeLayout(join(directory, 'rebuilt'), rebuilt);
  const sources = [...names, 'rebuilt'].map((name) => join(directory, name));
  const store = ['--store', join(directory, 'store'), '--scratch', join(directory, 'scratch')];
  const target = join(directory, 'a2');
  interface Ranked {
    readonly target: string;
    readonly isThere: boolean;
    readonly candidates: readonly {
      source: string;
      reference: string;
      tlshDistance: number;
      predictedPatchSize: number;
    }[];
  }
  const ranked = await panamaxJson<Ranked>('rank', target, '--sources', ...sources, ...store);
  assert.deepEqual(
    ranked.candidates.map(({ reference }) => basename(reference)),
    ['rebuilt', 'a1', 'b1'],
  );
  assert.equal(ranked.candidates[0]!.tlshDistance, 0);
  assert.ok(ranked.isThere);
  const only = await panamax('rank', target, '--sources', target, ...store);
  assert.equal(only.stdout, `${target} is the target itself: sites that have it need nothing.\n`);
  assert.deepEqual(await panamaxJson<Ranked>('rank', target, '-s', ...sources, ...store), ranked);

  interface Similar {
    readonly similar: readonly { manifest: string; similarity: number; candidate?: object }[];
  }
  const { similar } = await panamaxJson<Similar>('similar', target, '--count', '2', ...store);
  assert.deepEqual(
    similar.map(({ manifest }) => manifest),
    ranked.candidates.slice(0, 2).map(({ source }) => source),
  );
  await panamaxJson('tag', 'registry.test/app:1', sources[0]!, ...store.slice(0, 2));
  await panamaxJson('tag', 'registry.test/app:stable', sources[0]!, ...store.slice(0, 2));
  const neighbours = await panamax('similar', target, ...store);
  assert.match(neighbours.stdout, /^registry\.test\/app:stable +\d+ %$/m);
  assert.match(neighbours.stdout, /^sha256:[0-9a-f]{64} +\d+ %$/m, 'of an image without a name');
  assert.doesNotMatch(neighbours.stdout, /app:1/);
  assert.ok(similar[0]!.similarity === 1 && similar[1]!.similarity < 1);

  const inventory = join(directory, 'inventory.yaml');
  const sites = { one: [sources[0]], two: [sources[0]], three: [sources[3]], four: [target] };
  await writeFile(inventory, JSON.stringify({ sites }));
  interface Plan {
    readonly patches: readonly { source: string; sites: number; saves: number }[];
    readonly bytes: { readonly withoutPatches: number; readonly withPatches: number };
  }
  const plan = (...budget: string[]) =>
    panamaxJson<Plan>('plan', target, '--inventory', inventory, ...budget, ...store);
  // the rebuild has the target's layers, so a pull moves nothing
  assert.deepEqual(
    (await plan()).patches.map((patch) => [basename(patch.source), patch.sites]),
    [['a1', 2]],
  );
  assert.equal((await plan('--budget', '1')).patches.length, 1);
  const gone = join(directory, 'gone');
  await writeFile(inventory, JSON.stringify({ sites: { ...sites, five: [sources[0], gone] } }));
  const partial = await panamaxWith({}, 'plan', target, '-i', inventory, '--json', ...store);
  assert.equal(partial.code, EXIT_CODES.partial);
  assert.match(partial.stderr, /1 failed:.*gone: no such image/);
  const { patches, failures } = JSON.parse(partial.stdout) as Plan & { failures: { what: string }[] };
  assert.deepEqual([patches[0]!.sites, failures[0]!.what], [3, gone]);
  await panamaxFails('usage', /--budget/, 'plan', target, '-i', inventory, '--budget', '1x', ...store);

  const report = await runBackfill(directory, ['a2'], {
    sources: [...names, 'rebuilt'],
    top: 3,
    force: true,
  });
  const sizes = report.pairs.map((pair) => {
    assert.ok(pair.status !== 'failed');
    return pair.patches[0]!.descriptor.sizes;
  });
  assert.deepEqual(
    sizes.map(({ predicted }) => predicted),
    ranked.candidates.map(({ predictedPatchSize }) => predictedPatchSize),
  );
  assert.deepEqual(
    sizes.map(({ actual }) => actual),
    sizes.map(({ actual }) => actual).toSorted((a, b) => a - b),
  );
  const { pairs } = await panamaxJson<{ pairs: number }>('calibrate', ...store);
  assert.equal(pairs, 3);
  const adjusted = await panamaxJson<Ranked>('rank', target, '-s', ...sources, ...store);
  const offBy = ({ candidates }: Ranked) =>
    candidates.reduce(
      (sum, { predictedPatchSize }, i) => sum + Math.log(predictedPatchSize / sizes[i]!.actual) ** 2,
      0,
    );
  assert.ok(offBy(adjusted) <= offBy(ranked), `${offBy(adjusted)} after ${offBy(ranked)}`);
  await panamaxFails('usage', /needs --sources IMAGE/, 'rank', target, ...store);
});
