import { hexOf, type Digest } from '../../lib/digest.ts';

/** panamax gc: removed and kept objects in both kinds of store; referenced objects always exist. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parsePatchDescriptor } from '../../lib/store/descriptor.ts';
import { takeCensus } from '../../lib/retention/census.ts';
import { applyPolicy } from '../../lib/retention/policy.ts';
import { remove } from '../../lib/retention/removal.ts';
import { findRunState, listRuns } from '../../lib/run/runs.ts';
import { checkStore } from '../../lib/retention/check.ts';
import { keys } from '../../lib/store/keys.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { readIndex } from '../../lib/store/targetindex.ts';
import { fileScope } from '../support/scope.ts';
import { snapshot } from '../support/directory.ts';
import { panamaxFails, panamaxJson, panamaxWith } from '../support/commands.ts';
import { panamaxJson as panamaxJsonAlone, startPanamax } from '../support/panamax.ts';
import { noS3, startS3 } from '../support/s3.ts';
import { makeSiteStore, NAME, type SiteStore } from '../support/sitestore.ts';
import { until } from '../support/worker.ts';

const scope = fileScope();
const s3 = noS3() ? undefined : await startS3(scope, { keepsConnections: true });
const { signal } = new AbortController();

interface Result {
  readonly applied: boolean;
  readonly bytes: number;
  readonly removed: { readonly target: string; readonly objects: { readonly key: string }[] }[];
  readonly names: readonly string[];
  readonly left: readonly { readonly target: string }[];
  readonly compressions: readonly { readonly key: string }[];
  readonly layers: readonly { readonly key: string }[];
  readonly runs: readonly { readonly run: string }[];
}

async function listKeys(store: Store): Promise<string[]> {
  const found: string[] = [];
  for (const prefix of ['index/', 'names/', 'pairings/', 'patches/', 'signatures/', 'sketches/']) {
    for await (const key of store.list(prefix)) found.push(key);
  }
  return found;
}

/** Checks that everything an index or a descriptor refers to exists. */
async function assertWhole(store: Store): Promise<void> {
  const all = new Set(await listKeys(store));
  for (const key of all) {
    const hex = /^index\/sha256-(.*)\.json$/.exec(key)?.[1];
    const index = hex && (await readIndex(store, `sha256:${hex}`));
    // a worker may have published the object since the keys were listed
    for (const offer of index ? index.patches : [])
      assert.ok(await store.stat(offer.key), `${key} names ${offer.key}`);
    if (!key.startsWith('patches/') || !key.endsWith('.json')) continue;
    const { format, source, target, patch } = parsePatchDescriptor((await store.get(key))!, key);
    if (patch)
      assert.ok(
        await store.stat(keys.patch(target.manifest, source.manifest, format)),
        `${key} has no patch`,
      );
  }
}

interface Place {
  readonly made: SiteStore;
  readonly store: Store;
  readonly gc: (...args: readonly string[]) => Promise<Result>;
}

const PLACES: Readonly<Record<string, (t: TestContext) => Promise<Place>>> = {
  async 'a directory'(t) {
    const made = await makeSiteStore(t, { count: 3 });
    const gc = (...args: readonly string[]) => panamaxJson<Result>('gc', '--store', made.store, ...args);
    return { made, store: await openDirectoryStore(made.store), gc };
  },
  async S3(t) {
    const made = await makeSiteStore(t, { count: 3 });
    const location = `s3://${await s3!.makeBucket()}`;
    const { openS3Store } = await import('../../lib/store/objects/s3.ts');
    const store = await openS3Store(s3!.access, location.slice('s3://'.length), '');
    for (const item of await readdir(made.store, { recursive: true, withFileTypes: true })) {
      const path = join(item.parentPath, item.name);
      const key = path.slice(made.store.length + 1);
      if (item.isFile() && !key.startsWith('.')) await store.putFile(key, path);
    }
    return {
      made,
      store,
      async gc(...args) {
        const env = { ...process.env, ...s3!.environment };
        const { code, stdout, stderr } = await panamaxWith(env, 'gc', '--store', location, ...args, '--json');
        assert.equal(code, 0, stderr);
        return JSON.parse(stdout) as Result;
      },
    };
  },
};

for (const [where, place] of Object.entries(PLACES)) {
  describe(where, { skip: where === 'S3' && noS3() }, () => {
    test('keeps the last releases, and shows the removals in a dry run', async (t) => {
      const { made, store, gc } = await place(t);
      const [first, second, third] = made.images.map(({ manifestDigest }) => manifestDigest as Digest);
      const before = await listKeys(store);
      // all objects are younger than the grace period
      const young = await gc('--keep-last', '1', '--unnamed', '--apply');
      assert.deepEqual(young.removed, []);
      assert.deepEqual(new Set(young.left.map(({ target }) => target)), new Set([first, second]));
      const policy = ['--keep-last', '1', '--unnamed', '--grace', '0'];
      const dry = await gc(...policy);
      assert.equal(dry.applied, false);
      assert.deepEqual(await listKeys(store), before);
      const real = await gc(...policy, '--apply');
      assert.deepEqual({ ...real, applied: false }, dry);
      const gone = new Set(real.removed.flatMap(({ objects }) => objects.map(({ key }) => key)));
      assert.deepEqual(
        await listKeys(store),
        before.filter((key) => !gone.has(key)),
      );
      await assertWhole(store);
      // patches to the last release stay, and the signatures of their sources and of the release
      assert.equal((await readIndex(store, third!))?.patches.length, 2);
      assert.equal(await readIndex(store, second!), undefined);
      assert.ok(await store.get(keys.signature(second!)));
      assert.deepEqual((await gc(...policy, '--apply')).removed, []);
      // a name without patches still tells the digest: it is no fault
      const { faults, orphans, unpatched } = await checkStore(store, { readData: true, signal: t.signal });
      assert.deepEqual([faults, orphans], [[], []]);
      const bare = { name: `${NAME}:2`, platform: 'linux/amd64', manifest: second! };
      assert.deepEqual(unpatched, [bare]);
    });

    test('keeps the images of an inventory and the patches from them', async (t) => {
      const { made, store, gc } = await place(t);
      const [first, second, third] = made.images.map(({ manifestDigest }) => manifestDigest as Digest);
      const inventory = join(made.directory, 'sites.yaml');
      await writeFile(inventory, `sites: { north: ['${join(made.directory, '1')}'], south: ['${first}'] }\n`);
      const policy = ['--inventory', inventory, '--keep-last', '1', '--grace', '0', '--apply'];
      await gc(...policy);
      await assertWhole(store);
      const sourcesOf = async (target: Digest) =>
        (await readIndex(store, target))?.patches.map(({ source }) => source.manifest);
      assert.deepEqual(await sourcesOf(third!), [first]);
      assert.deepEqual(await sourcesOf(first!), [third]);
      assert.equal(await sourcesOf(second!), undefined);
      assert.equal(await store.get(keys.signature(second!)), undefined);
      // the inventory has names, and the images of current names are kept as well
      await writeFile(inventory, `sites: { north: ['docker://${NAME}:3'] }\n`);
      await gc('--inventory', inventory, '--grace', '0', '--apply', '--unnamed');
      assert.deepEqual(await sourcesOf(third!), []);
      await assertWhole(store);
    });

    test('leaves no dangling reference when killed anywhere, and finishes at the second start', async (t) => {
      const { store } = await place(t);
      const settings = { grace: 0, isReal: true, signal };
      let steps = 0;
      for (let isDone = false; !isDone;) {
        // aborted after its first change
        let isFirst = true;
        const once = (action: () => Promise<void>) => {
          if (!isFirst) throw new Error('stopped');
          isFirst = false;
          steps++;
          return action();
        };
        const stopping: Store = {
          ...store,
          put: async (key, bytes) => once(() => store.put(key, bytes)),
          remove: async (key) => once(() => store.remove(key)),
        };
        const retention = applyPolicy(await takeCensus(store, signal), { keepLast: 1, dropUnnamed: true });
        try {
          await remove(stopping, retention, settings);
          isDone = isFirst;
        } catch (error) {
          assert.equal((error as Error).message, 'stopped');
        }
        await assertWhole(store);
        assert.ok(steps < 200);
      }
      assert.ok(steps > 5, `${steps} steps`);
    });
  });
}

test('removes past names with their images, and keeps images of unfinished runs', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const [, second] = made.images.map(({ manifestDigest }) => manifestDigest as Digest);
  const options = ['--store', made.store];
  const path = (release: number) => join(made.directory, String(release));
  const stable = (release: number) => panamaxJson('tag', `${NAME}:stable`, path(release), ...options);
  for (const release of [2, 3]) await stable(release);
  const store = await openDirectoryStore(made.store);
  const policy = ['--keep-last', '1', '--unnamed', '--grace', '0', ...options];
  const scopes = 'runs/one/scopes/0123456789abcdef.json';
  await store.put('runs/one/run.json', Buffer.from('{}'));
  await store.put(scopes, Buffer.from(JSON.stringify({ images: [{ manifest: second }] })));
  const untouched = await panamaxJson<Result>('gc', ...policy);
  assert.ok(!untouched.removed.some(({ target }) => target === second));
  await store.put('runs/one/report.json', Buffer.from('{}'));
  const inventory = join(made.directory, 'sites.yaml');
  await writeFile(inventory, `sites: { north: ['${made.images[2]!.manifestDigest}'] }\n`);
  const { names } = await panamaxJson<Result>('gc', ...policy, '--inventory', inventory, '--apply');
  // past records of `stable` and `2`
  assert.equal(names.length, 2, names.join());
  assert.ok(names.every((name) => /\/\d{16}\.json$/.test(name)));
  await assertWhole(store);
  // current records stay
  const outcome = ['--engine', 'none', '--source', path(1), '--output', `oci:${made.directory}/out`];
  await panamaxFails('no-patch', /the store has no index of/, 'pull', `${NAME}:2`, ...options, ...outcome);
});

test('keeps the highest version if an older release was read later', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const { manifestDigest: second } = made.images[1]!;
  const options = ['--store', made.store];
  const goes = async () => {
    const { removed } = await panamaxJson<Result>('gc', '--keep-last', '1', '--grace', '0', ...options);
    return removed.some(({ target }) => target === second);
  };
  const name = (tag: string, release: number) =>
    panamaxJson('tag', `registry.test/other:${tag}`, join(made.directory, String(release)), ...options);
  assert.equal(await goes(), true);
  await name('v1.10', 2);
  await name('v1.9', 1);
  assert.equal(await goes(), false);
  // the tag stands for another image now
  await name('v1.10', 3);
  assert.equal(await goes(), true);
});

/** Sets the modification time of a file or directory to some days ago. */
async function age(store: string, days: number, below = ''): Promise<void> {
  const then = new Date(Date.now() - days * 86_400_000);
  for (const item of await readdir(join(store, below), { recursive: true, withFileTypes: true })) {
    if (item.isFile()) await utimes(join(item.parentPath, item.name), then, then);
  }
}

test('keeps the objects that a concurrent run needs and publishes', async (t) => {
  const made = await makeSiteStore(t, { count: 4 });
  const path = (release: number) => join(made.directory, String(release));
  const digests = made.images.map(({ manifestDigest }) => manifestDigest as Digest);
  await age(made.store, 3);
  const store = await openDirectoryStore(made.store);
  // the run reads the last release again, and makes all patches to it again
  for (const pair of await readdir(join(made.store, 'patches', `sha256-${hexOf(digests[3]!)}`))) {
    await store.remove(`patches/sha256-${hexOf(digests[3]!)}/${pair}`);
  }
  await store.remove(keys.index(digests[3]!));
  const sources = [path(1), path(2)].flatMap((image) => ['--sources', image]);
  const options = ['--store', made.store, '--top', '3', '--effort', 'fast', '--concurrency', '1'];
  const child = startPanamax(['backfill', path(4), ...sources, ...options, '--json']);
  const ended = once(child, 'exit');
  child.stdout.resume();
  child.stderr.resume();
  const isOver = async () => child.exitCode !== null;
  const scopes = async () => {
    const found: string[] = [];
    for await (const run of listRuns(store)) {
      if ((await findRunState(store, run))?.state === 'over') continue;
      for await (const key of store.list(keys.run(run, 'scopes/'))) found.push(key);
    }
    return found;
  };
  await until(scopes, (found) => found.length > 0);
  let rounds = 0;
  const removed = new Set<string>();
  const collect = async () => {
    const policy = ['--keep-last', '1', '--unnamed', '--grace', '1', '--apply', '--store', made.store];
    const result = await panamaxJson<Result>('gc', ...policy);
    for (const { target } of result.removed) removed.add(target);
    await assertWhole(store);
    rounds++;
  };
  while (!(await isOver())) await collect();
  assert.deepEqual(await ended, [0, null]);
  assert.ok(rounds > 0);
  // the third release is neither kept nor needed; patches to the others go, but not the signatures of sources
  assert.ok(removed.has(digests[2]!));
  // the last round may have been before the end of the patches from it
  await collect();
  assert.equal(await store.get(keys.signature(digests[2]!)), undefined);
  const index = await readIndex(store, digests[3]!);
  assert.deepEqual(
    index?.patches.map(({ source }) => source.manifest).toSorted(),
    [digests[0]!, digests[1]!].toSorted(),
  );
  await assertWhole(store);
});

test('keeps an image that was read again within the grace period', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const path = (release: number) => join(made.directory, String(release));
  const store = await openDirectoryStore(made.store);
  await age(made.store, 3);
  const options = ['--store', made.store, '--effort', 'fast'];
  await panamaxJson('backfill', path(1), '--sources', path(2), ...options);
  // a policy that removes all but the last release
  const policy = ['--inventory', await inventoryOf(made, [2]), '--keep-last', '1', '--unnamed'];
  const { left } = await panamaxJson<Result>('gc', ...policy, '--store', made.store, '--apply');
  const young = made.images.slice(0, 2).map(({ manifestDigest }) => manifestDigest);
  assert.deepEqual(left.map(({ target }) => target).toSorted(), young.toSorted());
  for (const image of young) assert.ok(await store.stat(keys.signature(image as Digest)));
});

test('removes old records of runs, and objects about layers without an image', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const store = await openDirectoryStore(made.store);
  const list = async (prefix: string) => {
    const found: string[] = [];
    for await (const key of store.list(prefix)) found.push(key);
    return found;
  };
  const policy = ['--keep-last', '1', '--unnamed', '--store', made.store];
  const [run] = await list('runs/');
  assert.ok(run);
  await age(made.store, 29);
  const early = await panamaxJson<Result>('gc', ...policy, '--apply');
  assert.deepEqual(early.runs, []);
  assert.ok((await list('runs/')).length > 0);

  // an active run, an abandoned one, and the remains of a killed removal
  await store.put('runs/active/run.json', Buffer.from('{}'));
  for (const name of ['idle/run.json', 'rest/outcomes/delta/0.done.json']) {
    await store.put(`runs/${name}`, Buffer.from('{}'));
    await age(made.store, 40, join('runs', name.split('/')[0]!));
  }
  await age(made.store, 40, join('runs', run.split('/')[1]!));
  const old = 'compressions/v1/sha256-00.json';
  await store.put(old, Buffer.from('{}'));
  await age(made.store, 3, 'compressions');
  const summaries = (await list('layers/')).toSorted();
  const diffIDs = made.images.flatMap((image) => image.diffIDs as Digest[]);
  assert.deepEqual(summaries, [...new Set(diffIDs.map(keys.layer))].toSorted());
  const oldSummary = 'layers/v0/sha256-00.columns';
  await store.put(oldSummary, Buffer.from('x'));
  await age(made.store, 3, 'layers');
  const layers = made.images[2]!.layerDigests.map((digest) => keys.compression(digest as Digest));
  const before = await list('compressions/');
  const dry = await panamaxJson<Result>('gc', ...policy);
  assert.deepEqual(await list('compressions/'), before);
  const real = await panamaxJson<Result>('gc', ...policy, '--apply');
  assert.deepEqual({ ...real, applied: false }, dry);
  assert.deepEqual(
    real.runs.map((one) => one.run),
    [run.split('/')[1]!, 'idle', 'rest'].toSorted(),
  );
  assert.deepEqual(await list('runs/'), ['runs/active/run.json']);
  // the sources of patches to the last release count as images
  const kept = await list('compressions/');
  assert.ok(layers.every((key) => kept.includes(key)));
  assert.ok(!kept.includes(old));
  assert.ok(real.compressions.some(({ key }) => key === old));
  assert.ok(real.layers.some(({ key }) => key === oldSummary));
  await panamaxJson(
    'gc',
    '--keep-last',
    '1',
    '--unnamed',
    '--store',
    made.store,
    '--grace',
    '0',
    '--apply',
    '--inventory',
    await inventoryOf(made, [2]),
  );
  assert.deepEqual((await list('compressions/')).toSorted(), [...new Set(layers)].toSorted());
  const last = made.images[2]!.diffIDs.map((diffID) => keys.layer(diffID as Digest));
  assert.deepEqual((await list('layers/')).toSorted(), [...new Set(last)].toSorted());
  assert.ok(last.length < summaries.length);
});

/** Writes the inventory of one site that holds these releases. */
async function inventoryOf(made: SiteStore, releases: readonly number[]): Promise<string> {
  const path = join(made.directory, 'held.yaml');
  const images = releases.map((release) => `'${made.images[release]!.manifestDigest}'`);
  await writeFile(path, `sites: { north: [${images.join()}] }\n`);
  return path;
}

test('refuses wrong options and inventories that cannot be resolved', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const before = await snapshot(made.store);
  const options = ['--store', made.store, '--apply', '--grace', '0'];
  await panamaxFails('usage', /needs --keep-last N or --inventory FILE/, 'gc', ...options);
  await panamaxFails('usage', /a whole number from 1/, 'gc', ...options, '--keep-last', '0');
  await panamaxFails('usage', /a number of hours/, 'gc', ...options, '--keep-last', '1', '--grace', 'x');
  const inventory = join(made.directory, 'sites.yaml');
  await writeFile(inventory, `sites: { north: ['${join(made.directory, 'none')}'] }\n`);
  await panamaxFails('not-found', /no such image/, 'gc', ...options, '--inventory', inventory);
  await panamaxFails('not-found', /none\.yaml/, 'gc', ...options, '--inventory', `${inventory}.none.yaml`);
  assert.deepEqual(await snapshot(made.store), before);
});

test('keeps the images of a repository that has a damaged name', async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const before = await snapshot(made.store);
  const name = Object.keys(before).find((path) => path.includes('@3/') && path.endsWith('amd64.json'))!;
  await writeFile(join(made.store, name), '');
  const damaged = await snapshot(made.store);
  const options = ['--store', made.store, '--apply', '--grace', '0', '--unnamed'];
  await panamaxJsonAlone('gc', ...options, '--keep-last', '1');
  assert.deepEqual(await snapshot(made.store), damaged);
});
