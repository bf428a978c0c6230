/** Runs on a real queue: published objects, repeated enqueueing, failures. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, test, type TestContext } from 'node:test';
import { createForest } from '../../lib/pairing/forest.ts';
import { connectProducer, connectWorker } from '../../lib/queue/connection.ts';
import { redisForest } from '../../lib/queue/similarity.ts';
import { QUEUES } from '../../lib/queue/names.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { startQueueWorker, type JobAttempt, type JobResult } from '../../lib/queue/worker.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { openS3Store } from '../../lib/store/objects/s3.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { findReport } from '../../lib/run/summary.ts';
import { createStatusReader, type RunStatus } from '../../lib/run/status.ts';
import { enqueue, waitForRun, type Enqueued } from '../../producers/enqueue.ts';
import { parseInventory } from '../../producers/question/inventory.ts';
import { listImages } from '../../workers/pairing/similar.ts';
import { makeReleases, objectsOf, RELEASES, runBackfill } from '../support/backfill.ts';
import { fileScope } from '../support/scope.ts';
import { blobPath, writeLayout } from '../support/layout.ts';
import { panamax, panamaxFails, panamaxJson, panamaxWith } from '../support/commands.ts';
import {
  panamax as panamaxAlone,
  panamaxJson as panamaxJsonAlone,
  startPanamax,
} from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startProxy } from '../support/proxy.ts';
import { createRandom } from '../support/random.ts';
import { startRedis, type Redis } from '../support/redis.ts';
import { startRegistry } from '../support/registry.ts';
import { writeRelease } from '../support/releases.ts';
import { noS3, startS3, throughPort } from '../support/s3.ts';
import { writeTar } from '../support/tar.ts';
import { unsealed } from '../support/unsealed.ts';
import { FLOW, type StageHandlers } from '../../workers/flow.ts';
import { finishedRun, planOf, QUICK, startLocalWorker, until } from '../support/worker.ts';

const skip = missing('redis-server');
const scope = fileScope();
const redis: Redis = skip ? (undefined as never) : await startRedis(scope);

async function setUp(t: TestContext, names: readonly string[] = RELEASES) {
  const directory = await makeReleases(t, names);
  const store = await openDirectoryStore(join(directory, 'store'));
  return { directory, store };
}

function put(plan: Parameters<typeof enqueue>[0], store: Store, options: object = {}): Promise<Enqueued> {
  return enqueue(plan, store, { redis: redis.url, retryFailed: false, dryRun: false, ...options });
}

/** Nothing waits, runs or is delayed. */
async function assertIdle(store: Store): Promise<void> {
  const connection = await connectProducer(redis.url, store);
  const queues = openQueues(connection);
  try {
    const total = async () =>
      Object.values(await queues.counts()).reduce((n, q) => n + q.waiting + q.active + q.delayed, 0);
    await until(total, (n) => n === 0);
  } finally {
    await queues.close();
    connection.redis.disconnect();
  }
}

/** The images in the similarity index in Redis. */
async function indexedImages(store: Store): Promise<string[]> {
  const connection = await connectProducer(redis.url, store);
  try {
    return (await Array.fromAsync(createForest(redisForest(connection)).list())).toSorted();
  } finally {
    connection.redis.disconnect();
  }
}

describe('a run on the queue', { skip }, () => {
  beforeEach(() => redis.wipe());

  test('publishes the same objects as the embedded driver', async (t) => {
    const { directory, store } = await setUp(t);
    const options = { redis: redis.url, store, directory, concurrency: 1 };
    await startLocalWorker(t, { ...options, stages: ['signature', 'pairing'] });
    await startLocalWorker(t, { ...options, stages: ['delta'] });
    await startLocalWorker(t, { ...options, stages: ['delta'] });
    const made = { formats: ['xdelta', 'oci-delta'], top: 2, force: true } as const;
    const plan = planOf(directory, RELEASES, made);
    const { stages } = await put(plan, store);
    assert.deepEqual(stages.signature, { added: 5, queued: 0, failed: 0, skipped: 0, done: 0 });
    const status = await finishedRun(store, 'run');
    assert.deepEqual(status.failures, []);
    assert.deepEqual(status.stages, {
      signature: { total: 5, done: 5, skipped: 0, failed: 0 },
      pairing: { total: 5, done: 5, skipped: 0, failed: 0 },
      delta: { total: 10, done: 10, skipped: 0, failed: 0 },
    });
    await runBackfill(directory, RELEASES, { ...made, store: 'embedded' });
    assert.deepEqual(await objectsOf(directory), await objectsOf(directory, 'embedded'));
    assert.deepEqual(await indexedImages(store), (await Array.fromAsync(listImages(store))).toSorted());
    assert.ok(status.bytes.saved > 0 && status.bytes.pull === status.bytes.saved + status.bytes.patches);
    await assertIdle(store);
  });

  test('skips targets for which no source is worth a patch', async (t) => {
    const { directory, store } = await setUp(t, ['a1']);
    const noise = writeTar([{ path: 'noise', content: createRandom(5).bytes(4000) }]);
    await writeLayout(join(directory, 'noise'), [noise]);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await put(planOf(directory, ['noise'], { sources: ['a1'] }), store);
    const { stages } = await finishedRun(store, 'run');
    assert.equal(stages.delta.total, 0);
    const report = (await findReport(store, 'run'))!;
    const { target, source, candidate } = report.passedOver[0]!;
    assert.deepEqual([target, source], [join(directory, 'noise'), join(directory, 'a1')]);
    assert.ok(candidate.predictedPatchSize > 0.95 * candidate.pullSize);
    await put(planOf(directory, ['noise'], { sources: ['a1'], id: 'forced', force: true }), store);
    assert.equal((await finishedRun(store, 'forced')).stages.delta.done, 1);
  });

  test('continues under the same name, and refuses another request', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2', 'a3']);
    const plan = planOf(directory, ['a1', 'a2', 'a3']);
    const dry = await put(plan, store, { dryRun: true });
    assert.deepEqual(dry.stages.signature, { added: 3, queued: 0, failed: 0, skipped: 0, done: 0 });
    await assert.rejects(createStatusReader(store, 'run'), { kind: 'not-found' });
    await put(plan, store);
    const again = await put({ ...plan, started: new Date(0).toISOString() }, store);
    assert.deepEqual(again.stages.signature, { added: 0, queued: 3, failed: 0, skipped: 0, done: 0 });
    await assert.rejects(put({ ...plan, top: 2 }, store), {
      kind: 'usage',
      message: /asks for something else/,
    });
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await finishedRun(store, 'run');
    const over = await put(plan, store);
    const none = { added: 0, queued: 0, failed: 0, skipped: 0, done: 3 };
    assert.deepEqual(over.stages, { signature: none, pairing: none, delta: none });
    const request = unsealed((await store.get('runs/run/run.json'))!).toString();
    await store.put('runs/run/run.json', Buffer.from(request.replace('"version":2', '"version":1')));
    await assert.rejects(put(plan, store), {
      kind: 'usage',
      message: /earlier version .* has begun the run/,
    });
    await assertIdle(store);
  });

  test('skips images that other runs have read, and repairs damaged signatures', async (t) => {
    const { directory, store } = await setUp(t);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await put(planOf(directory, ['a1', 'a2', 'b1'], { id: 'one' }), store);
    assert.deepEqual((await finishedRun(store, 'one')).failures, []);
    const sound = await objectsOf(directory);
    const [signature] = Object.keys(sound).filter((key) => /^signatures\/.*\.columns$/.test(key));
    await truncate(join(directory, 'store', signature!), 100);

    const plan = planOf(directory, ['a1', 'a2', 'a3', 'b1'], { id: 'two' });
    const tally = { added: 1, queued: 0, failed: 0, skipped: 3, done: 0 };
    assert.deepEqual((await put(plan, store, { dryRun: true })).stages.signature, tally);
    assert.deepEqual((await put(plan, store)).stages.signature, tally);
    const { failures, stages } = await finishedRun(store, 'two');
    assert.deepEqual(failures, []);
    assert.deepEqual(stages.signature, { total: 4, done: 1, skipped: 3, failed: 0 });
    const after = await objectsOf(directory);
    assert.equal(after[signature!], sound[signature!]);
  });

  test('makes each pair once for concurrent runs', async (t) => {
    const { directory, store } = await setUp(t);
    const workers = await Promise.all(
      [0, 1].map(() => startLocalWorker(t, { redis: redis.url, store, directory })),
    );
    for (const id of ['one', 'two', 'three']) await put(planOf(directory, RELEASES, { id }), store);
    for (const id of ['one', 'two', 'three']) {
      const { failures, stages } = await finishedRun(store, id);
      assert.deepEqual(failures, []);
      assert.equal(stages.delta.total, 5);
    }
    const made = workers
      .flatMap(({ events }) => events)
      .filter(({ status }) => status === 'done')
      .map(({ stage, item }) => `${stage} ${item}`);
    assert.equal(made.length, 15);
    assert.equal(new Set(made).size, 15);
  });

  test('makes one pairing for each set of images that sites hold', async (t) => {
    const { directory, store } = await setUp(t);
    const path = (name: string) => join(directory, name);
    const inventory = parseInventory(
      `sites:
        north: [${path('a1')}, ${path('b1')}]
        south: [${path('b1')}, ${path('a1')}, ${path('b1')}]
        west: [${path('a2')}]
        east: [${path('a3')}]
        new: []
      `,
      'inventory',
    );
    assert.deepEqual(
      inventory.map(({ sites }) => sites),
      [['north', 'south'], ['west'], ['east'], ['new']],
    );
    const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
    await put(planOf(directory, ['a3', 'b2'], { residents: inventory, top: 2, force: true }), store);
    const { stages, failures } = await finishedRun(store, 'run');
    assert.deepEqual(failures, []);
    assert.equal(stages.signature.total, 5);
    // the site in the east has a3
    assert.equal(stages.pairing.total, 5);
    // each from a1 and b1, from a2, and b2 from a3
    assert.equal(stages.delta.total, 7);
    assert.equal(worker.events.filter(({ stage }) => stage === 'delta').length, 7);

    // without force a source that serves no further site gets no patch
    await put(planOf(directory, ['a3', 'b2'], { residents: inventory, top: 2, id: 'few' }), store);
    const few = await finishedRun(store, 'few');
    assert.equal(few.stages.delta.total, 5);
    const { passedOver } = (await findReport(store, 'few'))!;
    assert.deepEqual(
      passedOver.map(({ target, source, reason }) => [target, source, reason]),
      [
        [path('a3'), path('b1'), 'served'],
        [path('b2'), path('a1'), 'served'],
      ],
    );
  });

  test('makes no patch from a source that is far from the best one', async (t) => {
    const { directory, store } = await setUp(t);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await put(planOf(directory, ['a3'], { sources: RELEASES, top: 4 }), store);
    assert.equal((await finishedRun(store, 'run')).stages.delta.total, 2);
    const { pairs, passedOver } = (await findReport(store, 'run'))!;
    const best = pairs[0]!.candidate.predictedPatchSize;
    assert.deepEqual(pairs.map(({ source }) => source).toSorted(), [
      join(directory, 'a1'),
      join(directory, 'a2'),
    ]);
    assert.deepEqual(
      passedOver.map(({ reason }) => reason),
      ['far', 'far'],
    );
    for (const { candidate } of passedOver) assert.ok(candidate.predictedPatchSize > 4 * best);
  });

  test('pairs within a set of images as soon as the set has been read', async (t) => {
    const { directory, store } = await setUp(t);
    const path = (name: string) => join(directory, name);
    const gate = Promise.withResolvers<void>();
    const handlers: StageHandlers = {
      ...FLOW,
      async signature(job, plan, context) {
        if (job.reference === path('b2')) await gate.promise;
        return FLOW.signature(job, plan, context);
      },
    };
    await startLocalWorker(t, { redis: redis.url, store, directory, handlers });
    const residents = [
      { images: [path('a1'), path('b1')], sites: ['north'] },
      { images: [path('b2')], sites: ['south'] },
    ];
    await put(planOf(directory, ['a2', 'a3'], { residents }), store);
    const read = await createStatusReader(store, 'run');
    const half = await until(read, ({ stages }) => stages.delta.done === 2);
    assert.deepEqual(half.stages.signature, { total: 5, done: 4, skipped: 0, failed: 0 });
    assert.deepEqual(half.stages.pairing, { total: undefined, done: 2, skipped: 0, failed: 0 });
    gate.resolve();
    const { stages, failures } = await finishedRun(store, 'run');
    assert.deepEqual(failures, []);
    assert.deepEqual([stages.pairing.done, stages.signature.done], [4, 5]);
    await assertIdle(store);
  });

  test('is not taken by workers of another store on the same Redis', async (t) => {
    const [here, there] = [await setUp(t), await setUp(t, ['a1', 'b1'])];
    await startLocalWorker(t, { redis: redis.url, ...there });
    await put(planOf(here.directory, ['a1', 'a2']), here.store);
    // of the same name
    await put(planOf(there.directory, ['a1', 'b1']), there.store);
    assert.deepEqual((await finishedRun(there.store, 'run')).failures, []);
    await startLocalWorker(t, { redis: redis.url, ...here });
    const { failures, stages } = await finishedRun(here.store, 'run');
    assert.deepEqual(failures, []);
    assert.deepEqual([stages.signature.done, stages.delta.done], [2, 2]);
    for (const { store } of [here, there]) await assertIdle(store);
  });

  test('continues after Redis has been wiped', async (t) => {
    const { directory, store } = await setUp(t);
    const plan = planOf(directory, RELEASES);
    const worker = await startLocalWorker(t, { redis: redis.url, store, directory, concurrency: 1 });
    await put(plan, store);
    const read = await createStatusReader(store, 'run');
    await until(read, ({ stages }) => stages.delta.done > 0);
    await worker.stop();
    await redis.wipe();
    const before = await read();
    assert.equal(before.finished, undefined);
    assert.equal(before.stages.signature.done, 5);
    const { stages } = await put(plan, store);
    assert.equal(stages.delta.done, before.stages.delta.done);
    // each ranking has one pair; the total of a status follows the coordinator, which may be a poll behind
    assert.equal(stages.delta.added + stages.delta.done, before.stages.pairing.done);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    const after = await finishedRun(store, 'run');
    assert.deepEqual(after.failures, []);
    assert.equal(after.stages.delta.done, 5);
    await assertIdle(store);
  });

  test('continues by itself if a producer waits or a coordinator leads', async (t) => {
    const { directory, store } = await setUp(t);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await put(planOf(directory, RELEASES), store);
    await redis.wipe();
    const { signal } = new AbortController();
    const status = await waitForRun('run', store, { redis: redis.url, signal, onStatus() {} });
    assert.deepEqual(status.failures, []);
    assert.equal(status.stages.delta.done, 5);
  });

  test('tells a waiting producer which stages have no worker', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    await put(planOf(directory, ['a1', 'a2']), store);
    const told = Promise.withResolvers<readonly string[]>();
    const { signal } = new AbortController();
    const options = {
      redis: redis.url,
      signal,
      onStatus() {},
      onUnattended: told.resolve,
      checkEvery: 500,
    };
    const waiting = waitForRun('run', store, options);
    assert.deepEqual(await told.promise, ['signature', 'pairing', 'delta']);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    assert.deepEqual((await waiting).failures, []);
  });

  test('a stopping worker hands back unfinished jobs', async (t) => {
    const { directory, store } = await setUp(t);
    const options = { redis: redis.url, store, directory };
    const worker = await startLocalWorker(t, { ...options, concurrency: 1, grace: 1 });
    await put(planOf(directory, RELEASES), store);
    await until(await createStatusReader(store, 'run'), ({ stages }) => stages.signature.done > 0);
    await worker.stop();
    const second = await startLocalWorker(t, options);
    const status = await finishedRun(store, 'run');
    assert.deepEqual(status.failures, []);
    // no attempt was lost over it
    assert.ok([...worker.events, ...second.events].every(({ status }) => status === 'done'));
    await assertIdle(store);
  });
});

/** Says no word of it in the store. */
async function giveUpButA3({ data }: JobAttempt): Promise<JobResult> {
  return (data as { reference: string }).reference.endsWith('a3')
    ? { kind: 'done' }
    : { kind: 'failed', message: 'limit: too much', final: true };
}

/** Runs a worker that leaves no outcomes, as if it was killed each time, until enqueueing counts as expected. */
async function runWithoutOutcomes(
  plan: Parameters<typeof enqueue>[0],
  store: Store,
  isReached: (tally: Enqueued['stages']['signature']) => boolean,
): Promise<void> {
  const connection = connectWorker(redis.url, store, () => {});
  const options = { concurrency: 1, locks: QUICK.locks, onError() {} };
  const worker = startQueueWorker('signature', connection, giveUpButA3, options);
  await until(async () => (await put(plan, store, { dryRun: true })).stages.signature, isReached);
  await worker.stop(1000);
  connection.redis.disconnect();
}

describe('failures', { skip }, () => {
  beforeEach(() => redis.wipe());

  test('malformed jobs fail for good and leave nothing', async (t) => {
    const { directory, store } = await setUp(t, ['a1']);
    const connection = await connectProducer(redis.url, store);
    const queues = openQueues(connection);
    const item = '0'.repeat(32);
    const manifest = `sha256:${'0'.repeat(64)}`;
    const target = { manifest, reference: 'a' };
    const bad = {
      run: [{}, { run: '../../etc', name: 'a' }, { run: 'run', name: '../a' }],
      signature: [{}, [], { run: '../../etc', item, reference: 'a' }, { run: 'run', item, reference: 7 }],
      pairing: [
        { run: 'run', item, target: { ...target, manifest: '../..' }, scope: '0'.repeat(16) },
        { run: 'run', item, target, scope: '../../x' },
        { run: 'run', item },
      ],
      delta: [{ run: 'run', item: '../../../x' }, { run: 'run' }, { item }],
    } as const;
    const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
    try {
      for (const queue of QUEUES) {
        await queues.add(
          queue,
          bad[queue].map((data, i) => ({ id: `bad.${i}`, data })),
        );
        await until(
          async () => (await queues.counts())[queue],
          ({ failed }) => failed === bad[queue].length,
        );
        for (const i of bad[queue].keys()) {
          const reason = await queues.failureOf(queue, `bad.${i}`);
          assert.match(reason!, new RegExp(`^bad-input: .* in job bad.${i} of queue ${queue}`));
        }
      }
    } finally {
      await queues.close();
      connection.redis.disconnect();
    }
    await worker.stop();
    // temporary files of the store
    assert.deepEqual(await readdir(join(directory, 'store')), ['.tmp']);
    assert.deepEqual(await readdir(join(directory, 'store', '.tmp')), []);
  });

  test('jobs that the queue gave up are reported and can be retried', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2', 'a3']);
    const plan = planOf(directory, ['a1', 'a2', 'a3']);
    await put(plan, store);
    await runWithoutOutcomes(plan, store, ({ queued }) => queued === 0);
    const tally = { added: 1, queued: 0, failed: 2, skipped: 0, done: 0 };
    const retried = { ...tally, added: 3 };
    const told = async (more: object) => (await put(plan, store, more)).stages.signature;
    assert.deepEqual(await told({ dryRun: true }), tally);
    assert.deepEqual(await told({ dryRun: true, retryFailed: true }), retried);
    assert.deepEqual(await told({}), tally);
    const { failures } = await (await createStatusReader(store, 'run'))();
    assert.deepEqual(
      failures.map(({ error }) => error),
      [1, 2].map(() => ({ kind: 'limit', message: 'too much' })),
    );
    assert.deepEqual(await told({ dryRun: true, retryFailed: true }), { ...tally, added: 2, queued: 1 });
    assert.deepEqual(await told({ retryFailed: true }), { ...tally, added: 2, queued: 1 });
    await startLocalWorker(t, { redis: redis.url, store, directory });
    assert.deepEqual((await finishedRun(store, 'run')).failures, []);
  });

  test('jobs that the queue gave up are retried before they are recorded', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    const plan = planOf(directory, ['a1', 'a2']);
    await put(plan, store);
    await runWithoutOutcomes(plan, store, ({ failed }) => failed === 2);
    const { signature } = (await put(plan, store, { retryFailed: true })).stages;
    assert.deepEqual(signature, { added: 2, queued: 0, failed: 2, skipped: 0, done: 0 });
    await startLocalWorker(t, { redis: redis.url, store, directory });
    assert.deepEqual((await finishedRun(store, 'run')).failures, []);
  });

  test('a bad image fails once, blocks nothing else, and can be retried', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2', 'a3']);
    const a3 = join(directory, 'a3');
    const layout = await writeRelease(a3, 'a'.charCodeAt(0), 3);
    const blob = blobPath(a3, layout.layerDigests[1]!);
    const sound = await readFile(blob);
    await writeFile(blob, sound.subarray(100));
    const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
    const plan = planOf(directory, ['a1', 'a2', 'a3', 'none']);
    await put(plan, store);
    const status = await finishedRun(store, 'run');
    assert.deepEqual(status.failures.map(({ what, error }) => `${what} ${error.kind}`).toSorted(), [
      `${a3} bad-input`,
      `${join(directory, 'none')} not-found`,
    ]);
    assert.equal(status.stages.delta.done, 2);
    assert.equal(worker.events.filter(({ status }) => status === 'failed').length, 2);
    assert.equal(worker.events.filter(({ status }) => status === 'retried').length, 0);

    await writeFile(blob, sound);
    assert.equal((await put(plan, store)).stages.signature.failed, 2);
    const dry = await put(plan, store, { retryFailed: true, dryRun: true });
    assert.equal(dry.stages.signature.added, 2);
    const retried = await put(plan, store, { retryFailed: true });
    assert.deepEqual(retried.stages.signature, { added: 2, queued: 0, failed: 2, skipped: 0, done: 2 });
    const repaired = await finishedRun(store, 'run');
    assert.deepEqual(
      repaired.failures.map(({ what }) => what),
      [join(directory, 'none')],
    );
    // another set of sources: each target is ranked again, and pairs that were made are not made again
    assert.equal(repaired.stages.pairing.done, 3);
    assert.equal(repaired.stages.delta.failed, 0);
    assert.ok(repaired.stages.delta.total! >= 3);
    await assertIdle(store);
  });

  test('missing scratch files are retried', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    const scratch = await mkdtemp(join(directory, 'scratch-'));
    let removals = 0;
    const handlers: StageHandlers = {
      ...FLOW,
      delta(job, plan, context) {
        const lease: typeof context.layers.lease = async (request) => {
          const leased = await context.layers.lease(request);
          if (removals++ < 2) await rm(leased.streams[0]!.parts[0]!.path);
          return leased;
        };
        return FLOW.delta(job, plan, { ...context, layers: { ...context.layers, lease } });
      },
    };
    const options = { redis: redis.url, store, directory, scratch, handlers, concurrency: 1 };
    const worker = await startLocalWorker(t, options);
    await put(planOf(directory, ['a2'], { sources: ['a1'] }), store, { jobs: QUICK.jobs });
    const status = await finishedRun(store, 'run');
    assert.deepEqual(status.failures, []);
    const retried = worker.events.filter(({ status }) => status === 'retried');
    assert.ok(retried.length >= 2 && retried.every(({ kind }) => kind === 'io'), JSON.stringify(retried));
  });

  const noRegistry = missing('docker-registry');
  test(
    'of a registry that is spoken to in the wrong protocol happen once',
    { skip: noRegistry },
    async (t) => {
      const { directory, store } = await setUp(t, ['a1']);
      const { port } = await startRegistry(t);
      // loopback is no exception: plain HTTP has to be asked for
      const reference = `docker://127.0.0.1:${port}/app:1`;
      const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
      await put(planOf(directory, ['a1'], { targets: [reference, join(directory, 'a1')] }), store);
      const { failures, stages } = await finishedRun(store, 'run');
      assert.deepEqual(
        failures.map(({ what, error }) => [what, error.kind]),
        [[reference, 'io']],
      );
      assert.match(
        failures[0]!.error.message,
        new RegExp(`speaks no TLS .*: --insecure-registry .*: in .*127.0.0.1:${port}/app`),
      );
      assert.equal(stages.signature.done, 1);
      assert.equal(worker.events.filter(({ status }) => status === 'retried').length, 0);
    },
  );

  test('a lost store is reported', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    await put(planOf(directory, ['a1', 'a2']), store);
    await rm(join(directory, 'store'), { recursive: true });
    const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
    await assertIdle(store);
    assert.ok(worker.events.every(({ status, kind }) => status === 'failed' && kind === 'not-found'));
    await assert.rejects(createStatusReader(store, 'run'), { kind: 'not-found', message: /no such run/ });
  });
});

describe('commands', { skip }, () => {
  beforeEach(() => redis.wipe());

  test('enqueue from a file and wait, a worker process, status', async (t) => {
    const { directory } = await setUp(t, ['a1', 'a2', 'a3']);
    const options = ['--store', join(directory, 'store'), '--redis', redis.url];
    const list = join(directory, 'list');
    await writeFile(
      list,
      `# releases\n\n${['a1', 'a2', 'a3'].map((name) => join(directory, name)).join('\n')}\n`,
    );
    const scratch = join(directory, 'scratch');
    const worker = startPanamax(['worker', ...options, '--scratch', scratch, '--log-level', 'silent']);
    const enqueued = await panamaxJsonAlone<Enqueued & { status: RunStatus }>(
      'enqueue',
      '--from',
      list,
      '--run',
      'one',
      '--effort',
      'fast',
      '--wait',
      ...options,
    );
    assert.equal(enqueued.run, 'one');
    assert.equal(enqueued.status.stages.delta.done, 3);
    worker.kill('SIGTERM');
    await once(worker, 'close');
    assert.equal(worker.exitCode, 0);
    const { stdout } = await panamaxAlone('status', 'one', '--store', join(directory, 'store'));
    assert.match(
      stdout,
      /^run one: over since .*\nSTAGE +TOTAL +DONE +SKIPPED +FAILED +LEFT\nsignature +3 +3 /,
    );
    assert.match(stdout, /\d kB saved of .* \(\d\d\.\d %\)/);
    assert.match(
      (await panamaxAlone('status', '--store', join(directory, 'store'))).stdout,
      /^RUN +STATE +SINCE +PAIRS +FAILED +SAVED\none +over +20\S+Z +3 +0 +\d.* kB\n$/,
    );
  });

  test('status --watch prints changes, each once', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    await put(planOf(directory, ['a1', 'a2']), store);
    const child = startPanamax(['status', 'run', '--watch', '--store', join(directory, 'store')]);
    let stdout = '';
    child.stdout.on('data', (data) => (stdout += String(data)));
    child.stderr.resume();
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    await startLocalWorker(t, { redis: redis.url, store, directory });
    await closed;
    assert.equal(child.exitCode, 0);
    const tables = stdout.split(/^(?=run )/m);
    assert.match(tables[0]!, /^signature +2 +0 /m);
    assert.match(tables.at(-1)!, /^run run: over since /);
    assert.equal(new Set(tables).size, tables.length, stdout);
  });

  test('enqueue --wait fails and lists the failures of the run', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    const images = ['a1', 'a2', 'none'].map((name) => join(directory, name));
    const options = ['--store', join(directory, 'store'), '--redis', redis.url];
    await panamaxFails(
      'not-found',
      /none: no such image|no such image: .*none/,
      'enqueue',
      ...images,
      ...options,
    );
    const all = [...images, '--unchecked'];
    const { code, stderr } = await panamax('enqueue', ...all, '--run', 'one', '--wait', ...options);
    assert.equal(code, EXIT_CODES.partial);
    assert.match(stderr, /^panamax enqueue: 1 failed:\n {2}.*none: no such image: /m);
    const status = await panamax('status', 'one', '--watch', '--store', join(directory, 'store'));
    assert.equal(status.code, EXIT_CODES.partial);
    assert.match(status.stdout, /none: not-found: no such image/);
  });

  test('enqueue takes images of earlier runs as sources, and says that there is none', async (t) => {
    const { directory, store } = await setUp(t, ['a1', 'a2']);
    await startLocalWorker(t, { redis: redis.url, store, directory });
    const options = ['--store', join(directory, 'store'), '--redis', redis.url, '--effort', 'fast'];
    const image = (name: string) => join(directory, name);
    const alone = ['enqueue', image('a1'), '--run', 'first', ...options];
    const message =
      /^panamax enqueue: no patch results: no other image to make one from(; looked at the last runs of .*)?: expected --sources/m;
    await panamaxFails('no-patch', message, ...alone);
    await panamaxFails('no-patch', message, ...alone, '--wait');
    const { status } = await panamaxJson<{ status: RunStatus }>(
      'enqueue',
      image('a2'),
      '--run',
      'second',
      '--wait',
      ...options,
    );
    assert.equal(status.stages.delta.done, 1);
  });

  test('unreachable servers are named without credentials', async (t) => {
    const { directory } = await setUp(t, ['a1']);
    const store = join(directory, 'store');
    const image = join(directory, 'a1');
    await panamaxFails(
      'io',
      /^panamax enqueue: Redis: connect ECONNREFUSED 127\.0\.0\.1:1: in redis at 127\.0\.0\.1:1\n$/,
      'enqueue',
      image,
      '--store',
      store,
      '--redis',
      'redis://user:sEcret@127.0.0.1:1',
    );
    await panamaxFails(
      'usage',
      /^(?!.*sEcret).*not a URL of Redis/,
      'enqueue',
      image,
      '--store',
      store,
      '--redis',
      'x:sEcret',
    );
    await panamaxFails('usage', /no images/, 'enqueue', '--store', store, '--redis', redis.url);
    await panamaxFails(
      'usage',
      /^(?!.*sEcret).*\*\*\*@host/,
      'backfill',
      image,
      '--store',
      'https://user:sEcret@host/x',
    );
    // one image where two were meant
    await panamaxFails(
      'usage',
      /--last: no pattern/,
      'backfill',
      'docker://host/app',
      '--last',
      '2',
      '--store',
      store,
    );
    await panamaxFails(
      'usage',
      /not a name of a run/,
      'enqueue',
      image,
      '--run',
      '../x',
      '--store',
      store,
      '--redis',
      redis.url,
    );
    await panamaxFails('not-found', /no such run/, 'status', 'none', '--store', store);
    const mistyped = join(directory, 'sotre');
    await panamaxFails('not-found', /no such store/, 'status', '--store', mistyped);
    await panamaxFails('not-found', /no such store/, 'gc', '--keep-last', '1', '--store', mistyped);
    await assert.rejects(stat(mistyped), { code: 'ENOENT' });
    await panamaxFails('usage', /unknown stage/, 'worker', 'x', '--store', store, '--redis', redis.url);
  });
});

async function enqueueFails(what: RegExp, env: NodeJS.ProcessEnv, ...args: string[]): Promise<void> {
  const { code, stderr } = await panamaxWith({ ...process.env, ...env }, 'enqueue', ...args);
  assert.equal(code, EXIT_CODES.io, stderr);
  assert.match(stderr, what);
}

describe('servers that take connections and never answer', { skip: skip || noS3() }, () => {
  beforeEach(() => redis.wipe());

  test('from the start', async (t) => {
    const { directory } = await setUp(t, ['a1']);
    const image = join(directory, 'a1');
    const s3 = await startS3(t);
    const silent = await startProxy(t, { port: Number(s3.access.endpoint.port) });
    silent.setFault({ kind: 'hang' });
    const silentRedis = await startProxy(t, redis);
    silentRedis.setFault({ kind: 'hang' });
    const redisFails = enqueueFails(
      new RegExp(
        `^panamax enqueue: Redis: no answer in 6 s: in redis at 127\\.0\\.0\\.1:${silentRedis.port}\\n$`,
      ),
      {},
      image,
      '--store',
      join(directory, 'store'),
      '--redis',
      `redis://127.0.0.1:${silentRedis.port}`,
    );
    const s3Fails = enqueueFails(
      new RegExp(`^panamax enqueue: no data for 5 s: in s3://panamax/ at 127\\.0\\.0\\.1:${silent.port}`),
      throughPort(s3, silent.port).environment,
      image,
      '--store',
      's3://panamax',
      '--redis',
      redis.url,
    );
    await Promise.all([redisFails, s3Fails]);
  });

  test('half-way', async (t) => {
    const { directory, store } = await setUp(t, ['a1']);
    const proxy = await startProxy(t, redis);
    const plan = planOf(directory, ['a1']);
    const falling: Store = {
      ...store,
      async put(key, bytes) {
        await store.put(key, bytes);
        proxy.setFault({ kind: 'hang' });
      },
    };
    const redisFails = assert.rejects(put(plan, falling, { redis: `redis://127.0.0.1:${proxy.port}` }), {
      kind: 'io',
      message: new RegExp(`redis at 127.0.0.1:${proxy.port}`),
    });

    const s3 = await startS3(t);
    const front = await startProxy(t, { port: Number(s3.access.endpoint.port) });
    const { access } = throughPort(s3, front.port);
    const hasty = await openS3Store(access, await s3.makeBucket(), '', { failFast: true });
    front.setFault({ kind: 'hang' });
    const s3Fails = assert.rejects(put(plan, hasty), {
      kind: 'io',
      message: new RegExp(`no data for 5 s: in s3://.* at 127.0.0.1:${front.port}`),
    });
    await Promise.all([redisFails, s3Fails]);
  });
});

describe('inventories', () => {
  test('are refused if they are malformed', () => {
    for (const text of [
      '',
      'sites:',
      'sites: []',
      'sites: {a: b}',
      'sites: {a: [1]}',
      'a: [',
      '- x',
      'sites: {a: [""]}',
    ]) {
      assert.throws(() => parseInventory(text, 'inventory'), { kind: 'bad-input' }, text);
    }
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
      .split('')
      .map((name, i) => `${name}: &${name} [${`*${'abcdefg'[i]!},`.repeat(9)}]`)
      .join('\n')}\nsites: {x: *h}`;
    assert.throws(() => parseInventory(bomb, 'inventory'), { kind: 'bad-input' });
  });
});
