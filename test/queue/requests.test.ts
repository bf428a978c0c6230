/** Requests to an S3 server for the record of a run, with stages that do nothing: all of the workers and the coordinator. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openS3Store } from '../../lib/store/objects/s3.ts';
import { findReport } from '../../lib/run/summary.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { idleStages } from '../support/idlestages.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { noS3, startS3, throughPort } from '../support/s3.ts';
import { planOf, startLocalWorker, until } from '../support/worker.ts';

const PAIRS = 3;
/** Requests for each further pair, but for polls of the coordinator: a third of 14, as three pairs share a ranking. */
const MOST = 14 / 3;
/** Shortest interval between polls in milliseconds, and requests of one: a list for each stage, and a heartbeat. */
const INTERVAL = 300;
const OF_POLL = 4;

test(
  'a further pair of a run takes at most five requests to the store, and a poll four',
  { skip: noS3() || missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const server = await startS3(t, { keepsConnections: true });
    const directory = await temporaryDirectory(t);
    const bucket = await server.makeBucket();
    const direct = await openS3Store(server.access, bucket, '');
    const front = await startFront(t, { port: Number(server.access.endpoint.port) }, () => false);
    const { access } = throughPort(server, Number(front.host.split(':')[1]));
    const store = await openS3Store(access, bucket, '');
    await startLocalWorker(t, {
      redis: redis.url,
      store,
      directory,
      concurrency: 8,
      handlers: idleStages(PAIRS),
    });

    const requestsOf = async (id: string, images: number) => {
      const names = Array.from({ length: images }, (_, i) => `image-${i}`);
      const before = front.seen.length;
      const started = performance.now();
      const options = { redis: redis.url, retryFailed: false, dryRun: false };
      await enqueue({ ...planOf(directory, names), id }, store, options);
      await until(
        () => direct.stat(`runs/${id}/report.json`),
        (info) => info !== undefined,
      );
      const polls = 2 + (performance.now() - started) / INTERVAL;
      const { pairs } = (await findReport(direct, id))!;
      assert.equal(pairs.length, PAIRS * images);
      const seen = front.seen.slice(before);
      const ofPolls = seen.filter(({ path }) => /list-type=2|heartbeat\.json/.test(path)).length;
      assert.ok(ofPolls <= OF_POLL * polls, `${ofPolls} requests of ${polls} polls`);
      return { all: seen.length, documents: seen.length - ofPolls };
    };
    const some = await requestsOf('some', 12);
    const twice = await requestsOf('twice', 24);
    const eachOf = (of: 'all' | 'documents') => (twice[of] - some[of]) / (PAIRS * 12);
    t.diagnostic(`${eachOf('all').toFixed(2)} requests for each further pair, with polls`);
    assert.ok(eachOf('documents') <= MOST, `${eachOf('documents')} requests for each further pair`);
  },
);
