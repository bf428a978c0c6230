/** Pairs go to the worker that has unpacked their source, while there is a choice. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { sourceOf } from '../../lib/run/request.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { enqueue } from '../../producers/enqueue.ts';
import type { StageHandlers } from '../../workers/flow.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { idleStages } from '../support/idlestages.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

const WORKERS = 3;
const SOURCES = 6;
const TARGETS = 6;

test(
  'workers make the pairs of different sources, and share those of the last ones',
  { skip: missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const directory = await temporaryDirectory(t);
    const store = await openDirectoryStore(join(directory, 'store'));
    const connection = await connectProducer(redis.url, store);
    const queues = openQueues(connection);
    t.after(async () => {
      await queues.close();
      connection.redis.disconnect();
    });
    const idle = idleStages(SOURCES);
    const options = { redis: redis.url, store, directory };
    await startLocalWorker(t, { ...options, stages: ['signature', 'pairing'], handlers: idle });
    const targets = Array.from({ length: TARGETS }, (_, i) => `target-${i}`);
    const sources = Array.from({ length: SOURCES }, (_, i) => `source-${i}`);
    const request = planOf(directory, targets, { sources, top: SOURCES });
    await enqueue(request, store, { redis: redis.url, retryFailed: false, dryRun: false });
    await until(
      () => queues.counts(),
      ({ delta }) => delta.waiting === SOURCES * TARGETS,
    );
    /** Sources of the pairs of each worker. */
    const made = Array.from({ length: WORKERS }, () => [] as string[]);
    for (const list of made) {
      const handlers: StageHandlers = {
        ...idle,
        async delta(job, plan, context) {
          list.push(sourceOf(job.item));
          await delay(20);
          return idle.delta(job, plan, context);
        },
      };
      await startLocalWorker(t, { ...options, stages: ['delta'], concurrency: 1, handlers });
    }
    assert.deepEqual((await finishedRun(store, 'run')).failures, []);
    assert.equal(made.flat().length, SOURCES * TARGETS);
    /** Were they images, each worker would have unpacked them once. */
    const unpacked = made.map((list) => new Set(list).size).reduce((sum, size) => sum + size, 0);
    // three for each source if all workers took pairs in the order of the queue, but for those of the end
    assert.ok(unpacked <= (WORKERS * SOURCES * 2) / 3, String(unpacked));
  },
);
