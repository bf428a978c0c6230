/** Requests to an S3 server for the record of a run, with stages that do nothing: all of the workers and the coordinator. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, type Digest } from '../../lib/digest.ts';
import { items } from '../../lib/run/request.ts';
import { openS3Store } from '../../lib/store/objects/s3.ts';
import { findReport } from '../../lib/run/summary.ts';
import { enqueue } from '../../producers/enqueue.ts';
import type { StageHandlers } from '../../workers/flow.ts';
import { imagesOfScope } from '../../workers/scopes.ts';
import { makeCandidate } from '../support/candidate.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { noS3, startS3, throughPort } from '../support/s3.ts';
import { planOf, startLocalWorker, until } from '../support/worker.ts';

const PAIRS = 3;
/** Requests for each further pair, listings included. */
const MOST = 5;

/** Stages that do nothing; a ranking chooses three of its sources. */
const handlers: StageHandlers = {
  async signature({ reference }) {
    return { status: 'done', outcome: { reference, manifest: digestOf(reference), size: 1 } };
  },
  async pairing({ run, item, target, scope }, request, { store }) {
    const images = await imagesOfScope(request, scope, store);
    const sources = images.filter(({ manifest }) => manifest !== target.manifest).slice(0, PAIRS);
    const pairs = sources.map((source) => ({
      sources: [source],
      candidate: makeCandidate(source.manifest),
    }));
    const jobs = sources.map(({ manifest }: { manifest: Digest }) => ({
      run,
      item: items.delta(target.manifest, manifest),
      ranking: item,
    }));
    return {
      status: 'done',
      outcome: { target, scope, pairs, passedOver: [] },
      next: { stage: 'delta', jobs },
    };
  },
  async delta() {
    return { status: 'done', outcome: { patches: [] } };
  },
};

test(
  'a further pair of a run takes at most five requests to the store, listings included',
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
    await startLocalWorker(t, { redis: redis.url, store, directory, concurrency: 8, handlers });

    const requestsOf = async (id: string, images: number) => {
      const names = Array.from({ length: images }, (_, i) => `image-${i}`);
      const before = front.seen.length;
      const options = { redis: redis.url, retryFailed: false, dryRun: false };
      await enqueue({ ...planOf(directory, names), id }, store, options);
      await until(
        () => direct.stat(`runs/${id}/report.json`),
        (info) => info !== undefined,
      );
      const { pairs } = (await findReport(direct, id))!;
      assert.equal(pairs.length, PAIRS * images);
      return front.seen.length - before;
    };
    const some = await requestsOf('some', 12);
    const twice = await requestsOf('twice', 24);
    const each = (twice - some) / (PAIRS * 12);
    t.diagnostic(`${each.toFixed(2)} requests for each further pair`);
    assert.ok(each <= MOST, `${each} requests for each further pair (${some}, ${twice})`);
  },
);
