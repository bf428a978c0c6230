/** Pairs go to the worker that has unpacked their images, while there is a choice. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { imagesOfPair } from '../../lib/run/request.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { enqueue } from '../../producers/enqueue.ts';
import type { StageHandlers } from '../../workers/flow.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { idleStages } from '../support/idlestages.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

const WORKERS = 3;
/** Repositories whose images are patched from each other. */
const REPOSITORIES = 4;
const IMAGES = 4;
const PAIRS = REPOSITORIES * IMAGES * (IMAGES - 1);

test('workers make the pairs of different images', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  const connection = await connectProducer(redis.url, store);
  const queues = openQueues(connection);
  t.after(async () => {
    await queues.close();
    connection.redis.disconnect();
  });
  const idle = idleStages(IMAGES - 1);
  const options = { redis: redis.url, store, directory };
  await startLocalWorker(t, { ...options, stages: ['signature', 'pairing'], handlers: idle });
  const runs = Array.from({ length: REPOSITORIES }, (_, i) => `run-${i}`);
  for (const id of runs) {
    const names = Array.from({ length: IMAGES }, (_, i) => `${id}-${i}`);
    const request = planOf(directory, names, { id, top: IMAGES - 1 });
    await enqueue(request, store, { redis: redis.url, retryFailed: false, dryRun: false });
  }
  await until(
    () => queues.counts(),
    ({ delta }) => delta.waiting === PAIRS,
  );
  /** Items of the pairs of each worker. */
  const made = Array.from({ length: WORKERS }, () => [] as string[]);
  for (const list of made) {
    const handlers: StageHandlers = {
      ...idle,
      async delta(job, plan, context) {
        list.push(job.item);
        await delay(20);
        return idle.delta(job, plan, context);
      },
    };
    await startLocalWorker(t, { ...options, stages: ['delta'], concurrency: 1, handlers });
  }
  for (const id of runs) assert.deepEqual((await finishedRun(store, id)).failures, []);
  assert.equal(made.flat().length, PAIRS);
  const unpacked = made
    .map((list) => new Set(list.flatMap(imagesOfPair)).size)
    .reduce((sum, size) => sum + size, 0);
  t.diagnostic(`${unpacked} unpackings of ${REPOSITORIES * IMAGES} images`);
  // each worker would unpack nearly every image if it took the pairs as they come
  assert.ok(unpacked <= (WORKERS * REPOSITORIES * IMAGES * 3) / 4, String(unpacked));
});
