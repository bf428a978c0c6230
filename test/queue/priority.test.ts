import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { FLOW, type StageHandlers } from '../../workers/flow.ts';
import { makeReleases } from '../support/backfill.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

test(
  'jobs of an urgent run wait only for those under way, and others go before a low run',
  { skip: missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2', 'a3', 'b1', 'b2', 'c1', 'c2']);
    const store = await openDirectoryStore(join(directory, 'store'));
    const connection = await connectProducer(redis.url, store);
    const queues = openQueues(connection);
    t.after(async () => {
      await queues.close();
      connection.redis.disconnect();
    });
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const handlers: StageHandlers = {
      ...FLOW,
      async delta(job, plan, context) {
        order.push(plan.id);
        if (order.length === 1) await gate.promise;
        return FLOW.delta(job, plan, context);
      },
    };
    const options = { redis: redis.url, store, directory };
    await startLocalWorker(t, { ...options, stages: ['signature', 'pairing'] });
    await startLocalWorker(t, { ...options, stages: ['delta'], concurrency: 1, handlers });
    const put = (id: string, names: string[], more: Partial<RunRequest> = {}) =>
      enqueue({ ...planOf(directory, names), id, ...more }, store, {
        redis: redis.url,
        retryFailed: false,
        dryRun: false,
      });
    const waiting = async (count: number) =>
      until(
        () => queues.counts(),
        ({ delta }) => delta.active === 1 && delta.waiting === count,
      );
    await put('bulk', ['a1', 'a2', 'a3']);
    await waiting(2);
    await put('later', ['c1', 'c2'], { priority: 'low' });
    await waiting(4);
    await put('urgent', ['b1', 'b2'], { priority: 'high' });
    await waiting(6);
    gate.resolve();
    for (const run of ['urgent', 'bulk', 'later']) {
      assert.deepEqual((await finishedRun(store, run)).failures, []);
    }
    assert.deepEqual(order, ['bulk', 'urgent', 'urgent', 'bulk', 'bulk', 'later', 'later']);
  },
);
