import type { Digest } from '../../lib/digest.ts';

/** Records of runs in the store: lists, states, reports in parts, rankings as images are read. */
import assert from 'node:assert/strict';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeCandidate } from '../support/candidate.ts';
import { putOutcome } from '../../lib/run/outcome.ts';
import { items, type RunRequest } from '../../lib/run/request.ts';
import { checkRunDocument } from '../../lib/retention/checkruns.ts';
import { findRequest, loadScope, putRequest, putScope } from '../../lib/run/record.ts';
import { countStatuses, sumBytes, type ReportPart, type RunReport } from '../../lib/run/report.ts';
import { findRunState, keepAlive, listRuns, putHeartbeat } from '../../lib/run/runs.ts';
import { createTimeLeft } from '../../lib/run/timeleft.ts';
import { createStatusReader } from '../../lib/run/status.ts';
import { findReport, findSummary, putReport, readParts } from '../../lib/run/summary.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { createRunPlan } from '../../workers/runplan.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf } from '../support/layout.ts';
import { planOf } from '../support/worker.ts';

async function* nothing(): AsyncGenerator<ReportPart> {}

const digest = (name: string) => digestOf(Buffer.from(name)) as Digest;

async function newStore(t: TestContext): Promise<{ store: Store; directory: string }> {
  const directory = await temporaryDirectory(t);
  return { store: await openDirectoryStore(directory), directory };
}

/** Counts the requests to a store. */
function counted(store: Store): { store: Store; read: string[]; listed: string[] } {
  const read: string[] = [];
  const listed: string[] = [];
  const counting: Store = {
    ...store,
    get: (key) => (read.push(key), store.get(key)),
    async *list(prefix, after) {
      for await (const key of store.list(prefix, after)) {
        listed.push(key);
        yield key;
      }
    },
  };
  return { store: counting, read, listed };
}

test('lists runs by reading one key each', async (t) => {
  const { store } = await newStore(t);
  const names = ['a', 'a-b', 'a.b', 'a0', 'ab', 'b'];
  for (const name of names) {
    await putRequest(store, planOf('/images', ['one'], { id: name }));
    for (let i = 0; i < 5; i++)
      await store.put(`runs/${name}/outcomes/delta/${i}.done.json`, Buffer.from('{}'));
  }
  const { store: counting, listed } = counted(store);
  assert.deepEqual((await Array.fromAsync(listRuns(counting))).toSorted(), names.toSorted());
  assert.equal(listed.length, names.length);
});

test('a run is active while it has heartbeats, then idle, or over', async (t) => {
  const { store, directory } = await newStore(t);
  assert.equal(await findRunState(store, 'run'), undefined);
  await putRequest(store, planOf('/images', ['one']));
  const now = Date.now();
  const later = now + 3600_000;
  const stateAt = async (time: number) => (await findRunState(store, 'run', time))?.state;
  assert.deepEqual([await stateAt(now), await stateAt(later)], ['active', 'idle']);
  const old = new Date(now - 3600_000);
  await utimes(join(directory, 'runs/run/run.json'), old, old);
  assert.equal(await stateAt(now), 'idle');
  assert.equal((await (await createStatusReader(store, 'run'))()).idleSince, old.toISOString());
  {
    await using _alive = await keepAlive(store, 'run');
    assert.equal(await stateAt(now), 'active');
  }
  assert.equal((await (await createStatusReader(store, 'run'))()).idleSince, undefined);
  await putHeartbeat(store, 'run');
  const none = countStatuses([]);
  const stages = { signature: none, pairing: none, delta: none };
  await putReport(store, 'run', nothing(), () => ({
    id: 'run',
    started: '',
    finished: '',
    stages,
    bytes: sumBytes([]),
  }));
  assert.equal(await stateAt(later), 'over');
});

test('a large report is written and read in parts', async (t) => {
  const { store } = await newStore(t);
  const count = 5000;
  const error = { kind: 'not-found', message: 'no such image' } as const;
  const pair = (i: number): RunReport['pairs'][number] => {
    const candidate = makeCandidate(digest('source'), { pullSize: i });
    const names = { target: `target ${i}`, source: 'source', candidate };
    return i === 4321 ? { ...names, status: 'failed', error } : { ...names, status: 'done', patches: [] };
  };
  async function* pieces(): AsyncGenerator<ReportPart> {
    yield { images: [{ reference: 'one', status: 'failed', error }], pairs: [], passedOver: [] };
    for (let i = 0; i < count; i += 100) {
      yield { images: [], pairs: Array.from({ length: 100 }, (_, n) => pair(i + n)), passedOver: [] };
    }
  }
  const plan: RunRequest = planOf('/images', ['one']);
  await putRequest(store, plan);
  const summary = {
    id: 'run',
    started: plan.started,
    finished: new Date().toISOString(),
    stages: {
      signature: countStatuses(['failed']),
      pairing: countStatuses([]),
      delta: countStatuses(Array.from({ length: count }, (_, i) => pair(i).status)),
    },
    bytes: { pull: 10, patches: 4, saved: 6 },
  };
  await putReport(store, 'run', pieces(), () => summary);
  assert.ok((await store.stat('runs/run/report.json'))!.size < 2000);
  const report = (await findReport(store, 'run'))!;
  assert.deepEqual(
    report.pairs,
    Array.from({ length: count }, (_, i) => pair(i)),
  );
  assert.deepEqual(report.images, [{ reference: 'one', status: 'failed', error }]);
  const found = (await findSummary(store, 'run'))!;
  assert.ok(found.parts.length >= 5);
  for await (const { images, pairs } of readParts(store, found))
    assert.ok(images.length + pairs.length <= 1000);

  // of a finished run only the parts with failures are read
  const { store: counting, read, listed } = counted(store);
  const status = await (await createStatusReader(counting, 'run'))();
  assert.deepEqual(
    status.failures.map(({ what }) => what),
    ['one', 'target 4321 from source'],
  );
  assert.deepEqual(status.stages.delta, { total: count, done: count - 1, skipped: 0, failed: 1 });
  assert.equal(read.filter((key) => key.includes('/report/')).length, 2);
  assert.deepEqual(listed, []);
});

test('a large set is stored in pages, which are checked', async (t) => {
  const { store } = await newStore(t);
  const images = Array.from({ length: 100_001 }, (_, i) => ({ manifest: digest('one'), reference: `${i}` }));
  await putScope(store, 'run', 'large', images);
  const { store: counting, read } = counted(store);
  assert.deepEqual(await loadScope(counting, 'run', 'large'), images);
  assert.equal(read.length, 4);
  const page = 'runs/run/scopes/large/000001.json';
  for (const key of ['runs/run/scopes/large.json', page]) checkRunDocument(key, (await store.get(key))!, key);
  await store.remove(page);
  await assert.rejects(loadScope(store, 'run', 'large'), { kind: 'bad-input', message: /000001/ });
  assert.ok((await store.stat('runs/run/scopes/large.json'))!.size < 200);
});

test('rankings wait only for the images of their own set', async (t) => {
  const plan = planOf('/images', ['t1', 't2'], {
    residents: [
      { images: ['/images/a', '/images/b'], sites: ['north'] },
      { images: ['/images/b', '/images/c'], sites: ['south'] },
    ],
  });
  const { store } = await newStore(t);
  const runPlan = createRunPlan(plan, store);
  const see = async (name: string, isSound = true) => {
    const reference = `/images/${name}`;
    const outcome = isSound
      ? { status: 'done' as const, reference, manifest: digest(name) }
      : { status: 'failed' as const, reference, error: { kind: 'io', message: 'no answer' } };
    await putOutcome(store, 'run', 'signature', items.signature(reference), outcome);
  };
  const planned = async (followed = runPlan) => {
    await followed.update();
    const rankings: string[] = [];
    for (const { target, scope } of followed.jobs('pairing')) {
      const members = await loadScope(store, 'run', scope);
      const names = members.map(({ reference }) => reference.at(-1)).join('');
      rankings.push(`${target.reference.slice(-2)} ${names}`);
    }
    return [rankings.toSorted(), followed.isComplete];
  };
  await see('t1');
  await see('a');
  assert.deepEqual(await planned(), [[], false]);
  await see('b');
  assert.deepEqual(await planned(), [['t1 ab'], false]);
  // an unreadable image is not waited for
  await see('c', false);
  assert.deepEqual(await planned(), [['t1 ab', 't1 b'], false]);
  await see('t2');
  assert.deepEqual(await planned(), [['t1 ab', 't1 b', 't2 ab', 't2 b'], true]);
  // an image that is tried again changes its set
  await store.remove(`runs/run/outcomes/signature/${items.signature('/images/c')}.failed.json`);
  assert.deepEqual(await planned(), [['t1 ab', 't2 ab'], false]);
  await see('c');
  const all = [['t1 ab', 't1 bc', 't2 ab', 't2 bc'], true];
  assert.deepEqual(await planned(), all);
  assert.deepEqual(await planned(createRunPlan(plan, store)), all);
});

test('an update reads only the outcomes that are new, and lists no stage that has succeeded', async (t) => {
  const { store, directory } = await newStore(t);
  const names = Array.from({ length: 40 }, (_, i) => `i${i}`);
  const plan = planOf(directory, names);
  const { store: counting, read, listed } = counted(store);
  const runPlan = createRunPlan(plan, counting);
  for (const [i, reference] of plan.targets.entries()) {
    const outcome = { status: 'done', reference, manifest: digest(reference), size: 10 } as const;
    await putOutcome(store, 'run', 'signature', items.signature(reference), outcome);
    if (i % 20 === 19) await runPlan.update();
  }
  assert.equal(read.length, 40);
  assert.deepEqual(runPlan.counts('signature'), { total: 40, done: 40, skipped: 0, failed: 0 });
  assert.deepEqual(runPlan.work('signature'), { done: 400, left: 0 });
  assert.equal(runPlan.counts('pairing').total, 40);
  const before = listed.length;
  await runPlan.update();
  assert.deepEqual([read.length, listed.length], [40, before]);
});

test('a request of many images is stored in pages', async (t) => {
  const { store } = await newStore(t);
  const names = Array.from({ length: 120_000 }, (_, i) => `image-${i}`);
  const plan = planOf('/images', names, { sources: names.slice(0, 60_000) });
  await putRequest(store, plan);
  const { store: counting, read } = counted(store);
  assert.deepEqual(await findRequest(counting, 'run'), plan);
  assert.equal(read.length, 6);
  await store.remove('runs/run/run/000002.json');
  await assert.rejects(findRequest(store, 'run'), {
    kind: 'bad-input',
    message: /page of the request is missing/,
  });
});

test('a run with more items than memory is refused', async (t) => {
  const { store, directory } = await newStore(t);
  const small = createRunPlan(planOf(directory, ['a']), store, { memory: 10_000 });
  await assert.rejects(small.update(), {
    kind: 'limit',
    message: /more items than the memory of its coordinator/,
  });
});

test('time left follows from the work of the last minutes', () => {
  let now = 0;
  const time = createTimeLeft(() => now);
  assert.equal(time.estimate({ done: 0, left: 1000 }), undefined);
  now = 10_000;
  // many small items, then a large one
  assert.equal(time.estimate({ done: 10, left: 990 }), 990);
  now = 20_000;
  assert.equal(time.estimate({ done: 500, left: 500 }), 20);
  now = 3600_000;
  assert.equal(time.estimate({ done: 1000, left: 0 }), undefined);
  assert.equal(time.estimate({ done: 900, left: 100 }), undefined);
});
