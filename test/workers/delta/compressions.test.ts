import type { Digest } from '../../../lib/digest.ts';

/** Of several workers that make patches to one target, one finds the compressions of its layers. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { createForest, createMemoryStorage } from '../../../lib/pairing/forest.ts';
import type { Candidate } from '../../../lib/pairing/ranking.ts';
import { makeCandidate } from '../../support/candidate.ts';
import { connectProducer } from '../../../lib/queue/connection.ts';
import { openLeases } from '../../../lib/queue/lease.ts';
import { prefixOf } from '../../../lib/queue/names.ts';
import { openQueues } from '../../../lib/queue/queues.ts';
import { storeCompressions } from '../../../lib/store/compressions.ts';
import { createLayerCache } from '../../../workers/resources/layercache.ts';
import { createMemory } from '../../../workers/resources/memory.ts';
import { items } from '../../../lib/run/request.ts';
import { putOutcome } from '../../../lib/run/outcome.ts';
import { putRequest } from '../../../lib/run/record.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { loadRecord } from '../../../workers/delta/compressions.ts';
import { stageDispatcher } from '../../../workers/dispatch.ts';
import type { DeltaJob } from '../../../workers/jobs.ts';
import { addJobs } from '../../../workers/schedule.ts';
import { signatureStage } from '../../../workers/signature/stage.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { missing } from '../../support/programs.ts';
import { createRandom } from '../../support/random.ts';
import { startRedis } from '../../support/redis.ts';
import { writeRelease } from '../../support/releases.ts';
import { atEnd, fileScope } from '../../support/scope.ts';
import { writeTar } from '../../support/tar.ts';
import { planOf, QUICK, startWorkerProcess, until } from '../../support/worker.ts';

const skip = missing('redis-server');
const redis = skip ? (undefined as never) : await startRedis(fileScope());

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** A target with two sources, read; and a worker in this process that has done nothing yet. */
async function makePairs(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  await writeRelease(path('source1'), 1, 1);
  await writeRelease(path('source2'), 1, 2);
  // made by no known encoder, so that the search takes seconds
  await writeLayout(path('target'), [
    writeTar([{ path: 'large', content: createRandom(5).text(2_000_000) }]),
  ]);
  const store = await openDirectoryStore(path('store'));
  await mkdir(path('scratch'));
  const connection = await connectProducer(redis.url, store);
  atEnd(t, () => connection.redis.disconnect());
  const queues = openQueues(connection);
  atEnd(t, () => queues.close());
  const layers = createLayerCache(path('layers'), 1e9);
  atEnd(t, () => layers[Symbol.asyncDispose]());
  const leases = openLeases(connection, QUICK.locks.lockDuration);
  /** Number of refused leases, by name. */
  const refused = new Map<string, number>();
  /** How often an image was read: to be unpacked, and to be looked into. */
  const reads = new Map<Digest, number>();
  const context = {
    store,
    limits: DEFAULT_LIMITS,
    scratch: path('scratch'),
    memory: createMemory(8 * 1024 ** 3),
    similar: createForest(createMemoryStorage()),
    log: { info() {}, warn() {} },
    layers: {
      ...layers,
      blobs: {
        ...layers.blobs,
        lease(...[image, options]: Parameters<typeof layers.blobs.lease>) {
          count(reads, image.manifest);
          return layers.blobs.lease(image, options);
        },
      },
    },
  };
  const dispatcher = {
    context,
    queues,
    leases: {
      ...leases,
      async take(what: string, owner: string) {
        const taken = await leases.take(what, owner);
        if (!taken) count(refused, what);
        return taken;
      },
    },
    leaseRenewal: QUICK.locks.lockDuration / 3,
  };
  const imageOf = async (name: string) => {
    const reference = path(name);
    const { signal } = new AbortController();
    const { manifest } = await signatureStage({ reference }, { ...context, layers, signal });
    return { manifest, reference };
  };
  await putRequest(store, planOf(directory, ['target'], { sources: ['source1', 'source2'] }));
  const target = await imageOf('target');
  const ranking = items.pairing(target.manifest, 'scope');
  const pairs: { sources: object[]; candidate: Candidate }[] = [];
  for (const name of ['source1', 'source2']) {
    const source = await imageOf(name);
    pairs.push({ sources: [source], candidate: makeCandidate(source.manifest) });
  }
  const outcome = { status: 'done', target, scope: 'scope', pairs, passedOver: [] } as const;
  await putOutcome(store, 'run', 'pairing', ranking, outcome);
  const jobs = pairs.map(({ candidate }): DeltaJob => ({
    run: 'run',
    item: items.delta(target.manifest, candidate.source),
    ranking,
  }));
  const work = (job: (typeof jobs)[number]) => {
    const { signal } = new AbortController();
    return stageDispatcher(
      'delta',
      dispatcher,
    )({ id: job.item, data: job, attempt: 1, isLast: true, priority: 1, starts: 1, signal });
  };
  const what = `compressions.${target.manifest}`;
  const known = async () =>
    (await loadRecord(store, target.manifest)).layers.map((layer) => layer.compression);
  return { path, store, queues, leases, jobs, work, what, target, refused, reads, known };
}

test('the second job waits for the first and reads its result', { skip }, async (t) => {
  const { store, leases, jobs, work, what, target, refused, reads, known } = await makePairs(t);
  assert.ok(await leases.take(what, 'another'));
  const keep = setInterval(() => void leases.take(what, 'another'), QUICK.locks.lockDuration / 3);
  atEnd(t, () => clearInterval(keep));
  const working = work(jobs[0]!);
  await until(
    async () => refused.get(what) ?? 0,
    (times) => times >= 2,
  );
  assert.equal(reads.get(target.manifest), 1);
  const { layers } = await loadRecord(store, target.manifest);
  await storeCompressions(store, new Map([[layers[0]!.digest, null]]));
  clearInterval(keep);
  await leases.release(what, 'another');
  assert.deepEqual(await working, { kind: 'done' });
  assert.equal(reads.get(target.manifest), 1);
  assert.deepEqual(await known(), [undefined]);
});

test('a job that waits for a killed worker does the work itself', { skip }, async (t) => {
  const { path, store, queues, jobs, work, what, target, refused, reads, known } = await makePairs(t);
  await addJobs('delta', [jobs[0]!], queues);
  const settings = {
    redis: redis.url,
    store: path('store'),
    scratch: path('scratch'),
    stages: ['delta'] as const,
  };
  const worker = startWorkerProcess(t, settings);
  await until(
    () => redis.command('EXISTS', `${prefixOf(store)}:lease:${what}`),
    (answer) => answer === ':1',
  );
  await worker.end();
  assert.deepEqual(await known(), [undefined]);
  assert.deepEqual(await work(jobs[1]!), { kind: 'done' });
  assert.ok(refused.get(what)! >= 1);
  assert.equal(reads.get(target.manifest), 2);
  assert.equal((await known())[0]?.encoder, 'corrected');
});
