/** A backfill over small images: the store afterwards, and repeated runs. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../lib/errors.ts';
import type { RunReport } from '../../lib/run/report.ts';
import { createStatusReader } from '../../lib/run/status.ts';
import { findReport } from '../../lib/run/summary.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { makeReleases, objectsOf, RELEASES, runBackfill } from '../support/backfill.ts';
import { blobPath, digestOf, writeLayout, type Layout } from '../support/layout.ts';
import { panamax, panamaxJson } from '../support/commands.ts';
import { applyPatch } from '../support/patch.ts';
import { createRandom } from '../support/random.ts';
import { releaseLayers, writeRelease } from '../support/releases.ts';
import { writeTar } from '../support/tar.ts';

/** Documents in which a changed figure can't be told from a sound one. */
const isPlain = (key: string) => /^pairings|\.json$/.test(key) && !key.startsWith('index');

interface Index {
  readonly version: number;
  readonly target: { readonly manifest: string; readonly config: string; readonly platform: string };
  readonly pullSize: number;
  readonly patches: readonly {
    readonly format: string;
    readonly source: { readonly manifest: string };
    readonly key: string;
    readonly size: number;
    readonly digest: string;
    readonly pullSize: number;
  }[];
  readonly pull: readonly { readonly source: { readonly manifest: string }; readonly pullSize: number }[];
}

async function readIndexes(directory: string): Promise<Index[]> {
  const names = await readdir(join(directory, 'store/index'));
  const read = async (name: string) => {
    const index = JSON.parse(await readFile(join(directory, 'store/index', name), 'utf8')) as Index;
    assert.equal(name, `${index.target.manifest.replace(':', '-')}.json`);
    return index;
  };
  return Promise.all(names.map(read));
}

/** Of reports: which pairs there are, and how they went, by the names of the images. */
function outcomesOf(report: RunReport): string[] {
  return report.pairs
    .map(({ target, source, status }) => `${basename(target)} from ${basename(source)}: ${status}`)
    .toSorted();
}

test('makes patches to each image from the best other, in both formats', async (t) => {
  const directory = await makeReleases(t);
  const report = await runBackfill(directory, RELEASES, { formats: ['xdelta', 'oci-delta'] });
  assert.match(
    outcomesOf(report).join(),
    /^a1 from a[23]: done,a2 from a[13]: done,a3 from a[12]: done,b1 from b2: done,b2 from b1: done$/,
  );
  assert.ok(report.images.every(({ status }) => status === 'done'));

  const references = new Map(
    report.images.flatMap((image) =>
      image.status === 'failed' ? [] : [[image.manifest as string, image.reference]],
    ),
  );
  const indexes = await readIndexes(directory);
  assert.equal(indexes.length, RELEASES.length);
  for (const { version, target, pullSize, patches, pull } of indexes) {
    assert.equal(version, 1);
    assert.equal(target.platform, 'linux/amd64');
    assert.deepEqual(pull, []);
    assert.equal(patches.length, 2);
    assert.deepEqual(
      patches.map(({ size }) => size),
      patches.map(({ size }) => size).toSorted((a, b) => a - b),
    );
    const name = basename(references.get(target.manifest)!);
    const layers = releaseLayers(name.charCodeAt(0), Number(name[1]));
    for (const patch of patches) {
      const path = join(directory, 'store', patch.key);
      const bytes = await readFile(path);
      assert.equal(bytes.length, patch.size);
      assert.equal(digestOf(bytes), patch.digest);
      assert.ok(patch.size < patch.pullSize);
      assert.equal(patch.pullSize, pullSize);
      const output = join(directory, 'rebuilt');
      const record = await applyPatch(path, references.get(patch.source.manifest)!, `stream:${output}`);
      assert.equal(record.config, target.config);
      assert.ok((await readFile(output)).equals(Buffer.concat(layers)));
      const descriptorKey = patch.key.replace(/\.(xdelta|oci-delta)(\.tar)?$/, '.$1.json');
      const { checksum, ...descriptor } = JSON.parse(
        await readFile(join(directory, 'store', descriptorKey), 'utf8'),
      ) as Record<string, unknown>;
      assert.match(String(checksum), /^[0-9a-f]{16}$/);
      const pair = report.pairs.find(
        (pair) => pair.target.endsWith(name) && pair.source === references.get(patch.source.manifest),
      )!;
      assert.deepEqual(descriptor, {
        version: 1,
        format: patch.format,
        effort: 'fast',
        source: patch.source,
        target: {
          manifest: target.manifest,
          config: target.config,
          layers: digestOf(Buffer.from(layers.map(digestOf).join('\n'))),
          size: Buffer.concat(layers).length,
        },
        patch: { size: patch.size, digest: patch.digest },
        sizes: { predicted: pair.candidate.predictedPatchSize, actual: patch.size, pull: patch.pullSize },
      });
    }
  }
  assert.deepEqual(await readdir(join(directory, 'scratch')), []);
  assert.deepEqual(await readdir(join(directory, 'store/.tmp')), []);

  const before = await objectsOf(directory);
  const again = await runBackfill(directory, RELEASES, { formats: ['xdelta', 'oci-delta'] });
  assert.ok([...again.images, ...again.pairs].every(({ status }) => status === 'skipped'));
  assert.deepEqual(await objectsOf(directory), before);
});

test('makes the same store with one job or four at a time', async (t) => {
  const names = ['a1', 'a2', 'b1', 'b2'];
  const directory = await makeReleases(t, names);
  await runBackfill(directory, names, { concurrency: 1, store: 'one' });
  await runBackfill(directory, names.toReversed(), { concurrency: 4, store: 'four' });
  const one = await objectsOf(directory, 'one');
  assert.deepEqual(await objectsOf(directory, 'four'), one);
  assert.equal(Object.keys(one).filter((key) => key.endsWith('.xdelta')).length, 4);
});

function withoutLayers(objects: Awaited<ReturnType<typeof objectsOf>>) {
  return Object.fromEntries(Object.entries(objects).filter(([key]) => !key.startsWith('layers/')));
}

describe('damaged or missing objects', () => {
  test('are made again, byte for byte', async (t) => {
    const names = ['a1', 'a2', 'a3'];
    const directory = await makeReleases(t, names);
    await runBackfill(directory, names);
    const sound = await objectsOf(directory);
    // compressions are only a cache
    const objects = Object.keys(sound).filter(
      (key) => sound[key] !== 'directory' && !key.startsWith('compressions/'),
    );
    assert.deepEqual(
      ['signatures', 'pairings', 'patches', 'index'].map(
        (kind) => objects.filter((key) => key.startsWith(`${kind}/`)).length,
      ),
      [3, 3, 6, 3],
    );
    const layers = { stored: join(directory, 'store', 'layers'), copy: join(directory, 'layers') };
    await cp(layers.stored, layers.copy, { recursive: true });
    const random = createRandom(11);
    const damages: ((path: string, bytes: Buffer) => Promise<unknown>)[] = [
      (path) => rm(path),
      (path) => writeFile(path, ''),
      (path, bytes) => writeFile(path, bytes.subarray(0, bytes.length - 20)),
      (path, bytes) => writeFile(path, bytes.fill(0x20, 0, 30)),
      // leaves alone
      async () => {},
      (path, bytes) => {
        bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
        return writeFile(path, bytes);
      },
    ];
    for (let round = 0; round < 3; round++) {
      for (const key of objects) {
        const damage = damages[random.below(isPlain(key) ? damages.length - 1 : damages.length)]!;
        const path = join(directory, 'store', key);
        await damage(path, await readFile(path));
      }
      const report = await runBackfill(directory, names);
      assert.ok(report.pairs.every(({ status }) => status !== 'failed'));
      // summaries of layers are damaged, too, but only made again for a signature that is
      assert.deepEqual(withoutLayers(await objectsOf(directory)), withoutLayers(sound));
      await cp(layers.copy, layers.stored, { recursive: true });
    }
  });

  test('are made again if they were swapped', async (t) => {
    const names = ['a1', 'a2', 'a3'];
    const directory = await makeReleases(t, names);
    await runBackfill(directory, names);
    const sound = await objectsOf(directory);
    for (const kind of [/^signatures.*columns$/, /^pairings.*json$/, /\.xdelta$/, /\.xdelta\.json$/]) {
      const keys = Object.keys(sound).filter((key) => kind.test(key));
      assert.equal(keys.length, 3);
      const paths = keys.map((key) => join(directory, 'store', key));
      for (const [i, path] of paths.entries()) await rename(path, `${paths[(i + 1) % paths.length]!}.new`);
      for (const path of paths) await rename(`${path}.new`, path);
    }
    const report = await runBackfill(directory, names);
    assert.ok(report.pairs.every(({ status }) => status !== 'failed'));
    assert.deepEqual(await objectsOf(directory), sound);
  });
});

describe('pairs', () => {
  test('are as many as requested, from the given sources', async (t) => {
    const directory = await makeReleases(t);
    const one = await runBackfill(directory, ['a3', 'b2'], { sources: ['a1', 'a2', 'b1'] });
    assert.equal(one.pairs.length, 2);
    assert.match(outcomesOf(one).join(), /^a3 from a[12]: done,b2 from b1: done$/);
    const three = await runBackfill(directory, ['a3'], {
      sources: ['a1', 'a2', 'a3', 'b1', 'b2'],
      top: 3,
      force: true,
    });
    assert.equal(three.pairs.length, 3);
    assert.deepEqual(
      outcomesOf(three)
        .filter((line) => line.startsWith('a3 from a'))
        .map((line) => line.slice(0, 10)),
      ['a3 from a1', 'a3 from a2'],
    );
    const index = (await readIndexes(directory)).find(
      ({ patches, pull }) => patches.length + pull.length === 3,
    );
    assert.ok(index);
  });

  test('treat one image under two names as one', async (t) => {
    const directory = await makeReleases(t, ['a1', 'a2']);
    await writeRelease(join(directory, 'also-a2'), 'a'.charCodeAt(0), 2);
    const report = await runBackfill(directory, ['a1', 'a2', 'also-a2']);
    assert.deepEqual(outcomesOf(report), ['a1 from a2: done', 'a2 from a1: done']);
    assert.equal((await readIndexes(directory)).length, 2);
    const alone = await runBackfill(directory, ['a2', 'also-a2'], { store: 'alone' });
    assert.deepEqual(alone.pairs, []);
  });

  test('record that a pull moves no more than a patch', async (t) => {
    const directory = await makeReleases(t, ['a1']);
    const noise = writeTar([{ path: 'noise', content: createRandom(5).bytes(4000) }]);
    await writeLayout(join(directory, 'noise'), [noise]);
    // the same layers with another config: a pull moves nothing but that
    const layers = releaseLayers('a'.charCodeAt(0), 1);
    await writeLayout(join(directory, 'same'), layers, { config: { config: { Env: ['X=1'] } } });
    const untried = await runBackfill(directory, ['noise', 'same'], { sources: ['a1'], store: 'untried' });
    assert.deepEqual(untried.pairs, []);
    assert.deepEqual(
      untried.passedOver.map(({ target, source }) => [basename(target), basename(source)]),
      [
        ['noise', 'a1'],
        ['same', 'a1'],
      ],
    );
    assert.ok(untried.passedOver.every(({ candidate: c }) => c.predictedPatchSize > 0.95 * c.pullSize));
    const indexes = Object.keys(await objectsOf(directory, 'untried')).filter((key) =>
      key.startsWith('index/'),
    );
    assert.equal(indexes.length, 2);

    const report = await runBackfill(directory, ['noise', 'same'], { sources: ['a1'], force: true });
    assert.deepEqual(report.passedOver, []);
    for (const pair of report.pairs) {
      assert.ok(pair.status === 'done');
      const { descriptor } = pair.patches[0]!;
      assert.equal(descriptor.patch, undefined);
      assert.ok(descriptor.sizes.actual >= descriptor.sizes.pull);
    }
    assert.equal(report.pairs.length, 2);
    const objects = Object.keys(await objectsOf(directory));
    assert.equal(objects.filter((key) => key.endsWith('.xdelta')).length, 0);
    for (const { patches, pull } of await readIndexes(directory)) {
      assert.deepEqual(patches, []);
      assert.equal(pull.length, 1);
    }
    const again = await runBackfill(directory, ['noise', 'same'], { sources: ['a1'], force: true });
    assert.ok(again.pairs.every(({ status }) => status === 'skipped'));
  });

  test('fail for an image that has changed since it was read', async (t) => {
    const directory = await makeReleases(t, ['a1', 'a2', 'a3']);
    const layout = await writeRelease(join(directory, 'a3'), 'a'.charCodeAt(0), 3);
    await runBackfill(directory, ['a3'], { sources: ['a1'], top: 1 });
    await rm(blobPath(join(directory, 'a3'), layout.layerDigests[0]!));
    const report = await runBackfill(directory, ['a1', 'a2', 'a3'], { top: 2 });
    const failed = report.pairs.filter((pair) => pair.status === 'failed');
    assert.ok(failed.length > 0 && failed.length < report.pairs.length);
    for (const pair of failed) {
      assert.match(`${pair.target} ${pair.source}`, /a3/);
      assert.equal(pair.error.kind, 'not-found');
      assert.match(pair.error.message, /missing blob: expected sha256:/);
    }
  });
});

test('the command reports a damaged image as JSON and in the store, and makes all other patches', async (t) => {
  const directory = await makeReleases(t, ['a1', 'a2', 'a3']);
  const names = ['a1', 'a2', 'a3'].map((name) => join(directory, name));
  const [, , a3] = names as [string, string, string];
  const layout: Layout = await writeRelease(a3, 'a'.charCodeAt(0), 3);
  const blob = blobPath(a3, layout.layerDigests[1]!);
  const sound = await readFile(blob);
  await writeFile(blob, sound.subarray(100));
  const options = [
    '--store',
    join(directory, 'store'),
    '--scratch',
    join(directory, 'scratch'),
    '--effort',
    'fast',
  ];
  const { code, stdout, stderr } = await panamax('backfill', ...names, ...options, '--json', '--top', '2');
  assert.equal(code, EXIT_CODES.partial);
  assert.match(stderr, /^signature \d\/3 failed .*a3$/m);
  assert.match(stderr, /^delta 2\/2 done .* from /m);
  assert.match(
    stderr,
    /^\{"version":1,"error":\{"kind":"partial".*a3: size mismatch: expected \d+ bytes, found \d+ bytes/m,
  );
  const report = JSON.parse(stdout) as RunReport;
  assert.deepEqual(outcomesOf(report), ['a1 from a2: done', 'a2 from a1: done']);
  const stored = await findReport(await openDirectoryStore(join(directory, 'store')), report.id);
  assert.deepEqual({ version: 1, ...stored }, report);

  await writeFile(blob, sound);
  const all = await panamaxJson<RunReport>('backfill', ...names, ...options, '--top', '2');
  assert.equal(all.pairs.filter(({ status }) => status === 'done').length, 4);
  assert.equal(all.pairs.filter(({ status }) => status === 'skipped').length, 2);
  const table = await panamax('backfill', a3, '--sources', ...names, ...options);
  assert.equal(table.code, 0);
  assert.match(
    table.stdout,
    /^TARGET +SOURCE +FORMAT +PULL +PATCH +RATIO +TIME +RESULT\n.*a3 +.*a[12] +panamax .* %.*patch \(kept\)\n$/,
  );
});

test('runs an inventory and records each item', async (t) => {
  const directory = await makeReleases(t);
  const path = (name: string) => join(directory, name);
  const inventory = join(directory, 'sites.yaml');
  await writeFile(
    inventory,
    `sites:
      north: [${path('a1')}, ${path('b1')}]
      south: [${path('b1')}, ${path('a1')}]
      west: [${path('a2')}]
      east: [${path('a3')}]
    `,
  );
  const store = join(directory, 'store');
  const options = ['--inventory', inventory, '--store', store, '--effort', 'fast'];
  const scratch = ['--scratch', join(directory, 'scratch')];
  const images = [path('a3'), path('b2'), path('none')];
  const { code, stdout } = await panamax('backfill', ...images, ...options, ...scratch, '--json');
  assert.equal(code, EXIT_CODES.partial);
  const report = JSON.parse(stdout) as RunReport;
  // of two images in three sets; the site in the east has a3
  assert.deepEqual(report.rankings, { total: 5, done: 5, skipped: 0, failed: 0 });
  const pairs = report.pairs.map(({ target, source }) => [basename(target), basename(source)].join(' from '));
  assert.ok(pairs.includes('a3 from a2') && pairs.includes('b2 from b1'));
  assert.equal(new Set(pairs).size, pairs.length);

  const read = await createStatusReader(await openDirectoryStore(store), report.id);
  const status = await read();
  assert.deepEqual(status.stages.signature, { total: 6, done: 5, skipped: 0, failed: 1 });
  assert.deepEqual(
    status.failures.map(({ what, error }) => [what, error.kind]),
    [[path('none'), 'not-found']],
  );
  const record = (id: string, stage: string) => readdir(join(store, 'runs', id, 'outcomes', stage));
  assert.equal((await record(report.id, 'signature')).length, 6);
  assert.equal((await record(report.id, 'delta')).length, report.pairs.length);

  const again = await panamax('backfill', path('a3'), path('b2'), ...options, ...scratch, '--json');
  assert.equal(again.code, 0, again.stderr);
  const second = JSON.parse(again.stdout) as RunReport;
  assert.ok((await record(second.id, 'delta')).every((name) => name.endsWith('.skipped.json')));
});
