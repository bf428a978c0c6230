/** Combined sources: a patch from a base and an application is smaller than one from either. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parsePatchDescriptor } from '../../lib/store/descriptor.ts';
import { findReport } from '../../lib/run/summary.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { runBackfill } from '../support/backfill.ts';
import { fileScope } from '../support/scope.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf, writeLayout } from '../support/layout.ts';
import { panamaxJson } from '../support/commands.ts';
import { missing } from '../support/programs.ts';
import { startRedis, type Redis } from '../support/redis.ts';
import { releaseLayers } from '../support/releases.ts';
import { finishedRun, planOf, startLocalWorker } from '../support/worker.ts';

const skip = missing('redis-server');
const redis: Redis = skip ? (undefined as never) : await startRedis(fileScope());

function layer(family: number, release: number, which: 0 | 1): Buffer {
  return releaseLayers(family, release)[which]!;
}

/** Images where the target's base is similar to that of one image, and its application to that of another. */
async function makeImages(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const application = [layer(1, 1, 0), layer(1, 1, 1)];
  const base = [layer(2, 1, 0)];
  const target = [layer(2, 2, 0), layer(1, 2, 1)];
  await writeLayout(path('application'), application);
  // both images share a layer, which the combined source has once
  await writeLayout(path('base'), [...base, application[0]!]);
  await writeLayout(path('other'), releaseLayers(3, 1));
  const { manifestDigest, configDigest } = await writeLayout(path('target'), target);
  return { directory, path, application, base, target, manifestDigest, configDigest };
}

const SOURCES = ['other', 'application', 'base'];

test('ranks, plans, makes and applies a combined source, also by xdelta3', async (t) => {
  const { directory, path, application, base, target, ...digests } = await makeImages(t);
  const store = ['--store', path('store'), '--scratch', path('scratch')];
  const sources = SOURCES.map(path);
  interface Ranked {
    readonly candidates: readonly {
      readonly source: `sha256:${string}`;
      readonly images?: readonly `sha256:${string}`[];
      readonly reference: string;
      readonly predictedPatchSize: number;
    }[];
  }
  const alone = await panamaxJson<Ranked>('rank', path('target'), '--sources', ...sources, ...store);
  assert.equal(alone.candidates.length, 3);
  const rank = ['rank', path('target'), '--together', '--sources', ...sources, ...store];
  const { candidates } = await panamaxJson<Ranked>(...(rank as ['rank']));
  const [best, ...others] = candidates;
  assert.deepEqual(others, alone.candidates);
  assert.ok(best!.predictedPatchSize < 0.9 * others[0]!.predictedPatchSize);
  assert.equal(best!.source, digestOf(Buffer.from(best!.images!.join('\n'))));
  const order = best!.reference.split(' + ').map((reference) => basename(reference));
  assert.deepEqual(order.toSorted(), ['application', 'base']);

  await writeFile(
    path('inventory.yaml'),
    JSON.stringify({ sites: { one: sources, two: sources, three: [path('other')] } }),
  );
  interface Plan {
    readonly patches: readonly { readonly source: string; readonly sites: number }[];
  }
  const inventory = ['--inventory', path('inventory.yaml'), '--budget', '1'];
  const plan = await panamaxJson<Plan>('plan', path('target'), ...inventory, ...store);
  assert.deepEqual(
    plan.patches.map(({ source, sites }) => [source, sites]),
    [[best!.reference, 2]],
  );

  const report = await runBackfill(directory, ['target'], { sources: SOURCES, together: true });
  const pair = report.pairs[0]!;
  assert.equal(report.pairs.length, 1);
  assert.equal(pair.source, best!.reference);
  assert.ok(pair.status === 'done');
  const { descriptor } = pair.patches[0]!;
  assert.deepEqual(descriptor.source.images, best!.images);
  const layers = order.flatMap((name) => (name === 'base' ? [...base, application[0]!] : application));
  const stream = [...new Set(layers)];
  assert.deepEqual(descriptor.source.diffIDs, stream.map(digestOf));
  assert.ok(descriptor.patch!.size < descriptor.sizes.pull / 2);
  const kept = await readFile(
    path(
      `store/patches/${digests.manifestDigest.replace(':', '-')}/${best!.source.replace(':', '-')}.xdelta.json`,
    ),
  );
  assert.deepEqual(parsePatchDescriptor(kept, 'here'), descriptor);
  const again = await runBackfill(directory, ['target'], { sources: SOURCES, together: true });
  assert.equal(again.pairs[0]!.status, 'skipped');

  const index = path(`store/index/${digests.manifestDigest.replace(':', '-')}.json`);
  const { patches } = JSON.parse(await readFile(index, 'utf8')) as { patches: { key: string }[] };
  await t.test('xdelta3 rebuilds the target', { skip: missing('xdelta3') }, async () => {
    await writeFile(path('stream'), Buffer.concat(stream));
    execFileSync('xdelta3', ['-d', '-s', path('stream'), path(`store/${patches[0]!.key}`), path('rebuilt')]);
    assert.ok((await readFile(path('rebuilt'))).equals(Buffer.concat(target)));
  });
  interface Outcome {
    readonly method: string;
    readonly target: { readonly config: string };
  }
  const site = ['--state', path('state'), '--scratch', path('scratch'), '--engine', 'none'];
  const residents = SOURCES.flatMap((name) => ['--source', path(name)]);
  const pull = ['pull', `app@${digests.manifestDigest}`, '--store', path('store'), ...site, ...residents];
  const outcome = await panamaxJson<Outcome>(...(pull as ['pull']), '--output', `oci:${path('out')}:new`);
  assert.equal(outcome.method, 'patch');
  assert.equal(outcome.target.config, digests.configDigest);

  const { pairs } = await panamaxJson<{ pairs: number }>('calibrate', ...store);
  assert.equal(pairs, 1);
});

test('combines the best of many releases with a base image of low rank', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const releases = Array.from({ length: 10 }, (_, i) => `r${i}`);
  for (const [i, name] of releases.entries()) {
    await writeLayout(path(name), [layer(1, 10 + i, 0), layer(3, 1, 1)]);
  }
  await writeLayout(path('base'), [layer(2, 1, 1)]);
  await writeLayout(path('target'), [layer(2, 2, 1), layer(1, 2, 0)]);
  const sources = [...releases, 'base'].map(path);
  const { candidates } = await panamaxJson<{
    readonly candidates: readonly { readonly reference: string; readonly predictedPatchSize: number }[];
  }>(
    'rank',
    path('target'),
    '--together',
    '--sources',
    ...sources,
    '--store',
    path('store'),
    '--scratch',
    path('scratch'),
  );
  const [best, next] = candidates;
  assert.equal(basename(candidates.at(-1)!.reference), 'base');
  const parts = best!.reference.split(' + ').map((reference) => basename(reference));
  assert.equal(parts.length, 2);
  assert.equal(parts[1], 'base');
  assert.ok(best!.predictedPatchSize < 0.5 * next!.predictedPatchSize);
});

describe('a run in the queue', { skip }, () => {
  test('combines the images of each site of an inventory', async (t) => {
    const { directory, path } = await makeImages(t);
    const store = await openDirectoryStore(path('store'));
    await startLocalWorker(t, { redis: redis.url, store, directory });
    const images = SOURCES.map(path);
    const formats = ['xdelta', 'oci-delta'] as const;
    const plan = planOf(directory, ['target'], { residents: [{ images, sites: ['shop'] }], formats });
    await enqueue(plan, store, { redis: redis.url, retryFailed: false, dryRun: false });
    const { failures, stages } = await finishedRun(store, 'run');
    assert.deepEqual(failures, []);
    // an oci-delta patch has one source image
    assert.equal(stages.delta.done, 2);
    const { pairs } = (await findReport(store, 'run'))!;
    const made = pairs.map((pair) => ({
      source: pair.source.split(' + ').map((name) => basename(name)),
      formats: pair.status === 'failed' ? [] : pair.patches.map(({ descriptor }) => descriptor.format),
    }));
    const together = made.find(({ source }) => source.length === 2)!;
    assert.deepEqual(together.source.toSorted(), ['application', 'base']);
    assert.deepEqual(together.formats, ['xdelta']);
    assert.deepEqual(made.find(({ source }) => source.length === 1)!.formats, ['xdelta', 'oci-delta']);
  });
});
