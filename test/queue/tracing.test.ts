/** Traces of runs, as a receiver of OTLP over HTTP gets them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { connectProducer } from '../../lib/queue/connection.ts';
import { openQueues } from '../../lib/queue/queues.ts';
import { inSpan, startTracing } from '../../lib/queue/tracing.ts';
import { LOCK_SETTINGS, startQueueWorker } from '../../lib/queue/worker.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { makeReleases } from '../support/backfill.ts';
import { freePort } from '../support/port.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { finishedRun, planOf, startLocalWorker, until } from '../support/worker.ts';

const skip = missing('redis-server');

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}
interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly Attribute[];
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

const valueOf = (attributes: readonly Attribute[], name: string) =>
  attributes.find(({ key }) => key === name)?.value.stringValue;

/** Starts traces as in an environment with these variables. */
async function startWith(t: TestContext, env: Record<string, string>, onError: (message: string) => void) {
  for (const [name, value] of Object.entries(env)) {
    process.env[name] = value;
    atEnd(t, () => void delete process.env[name]);
  }
  return startTracing('1.2.3', onError);
}

/** Collects what is exported. */
async function startReceiver(t: TestContext) {
  const exports: Export[] = [];
  const server = createServer((request, response) => {
    void json(request).then((document) => {
      exports.push(document as Export);
      return response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => void server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const resources = () => exports.flatMap(({ resourceSpans }) => resourceSpans);
  return {
    endpoint,
    spans: () => resources().flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    services: () => new Set(resources().map(({ resource }) => valueOf(resource.attributes, 'service.name'))),
  };
}

describe('traces', { skip }, () => {
  test('hold all work for a run in the trace of its caller', async (t) => {
    const receiver = await startReceiver(t);
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const store = await openDirectoryStore(join(directory, 'store'));
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      TRACEPARENT: `00-${traceId}-00f067aa0ba902b7-01`,
    };
    {
      await using _tracing = await startWith(t, env, (message) => assert.fail(message));
      const plan = planOf(directory, ['a2'], { sources: ['a1'], id: 'nightly' });
      await enqueue(plan, store, { redis: redis.url, retryFailed: false, dryRun: false });
      const worker = await startLocalWorker(t, { redis: redis.url, store, directory });
      await finishedRun(store, 'nightly');
      await worker.stop();
    }
    assert.deepEqual([...receiver.services()], ['panamax']);
    const spans = receiver.spans();
    const [root] = spans.filter(({ name }) => name === 'panamax enqueue');
    assert.equal(root!.parentSpanId, '00f067aa0ba902b7');
    assert.equal(valueOf(root!.attributes, 'panamax.run'), 'nightly');
    const jobs = spans.filter(({ name }) => name.startsWith('process '));
    assert.deepEqual(
      new Set(jobs.map(({ name }) => name)),
      new Set(['run', 'signature', 'pairing', 'delta'].map((queue) => `process ${queue}`)),
    );
    assert.deepEqual(new Set(spans.map((span) => span.traceId)), new Set([traceId]));
    const known = new Set(spans.map(({ spanId }) => spanId));
    for (const { name, parentSpanId } of jobs) assert.ok(known.has(parentSpanId!), name);
    const delta = jobs.find(({ name }) => name === 'process delta')!;
    const described = ['run', 'stage', 'status'].map((name) => valueOf(delta.attributes, `panamax.${name}`));
    assert.deepEqual(described, ['nightly', 'delta', 'done']);
  });

  test('whose receiver is away cost a message, and a damaged trace of a job costs nothing', async (t) => {
    const redis = await startRedis(t);
    const errors: string[] = [];
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
      TRACEPARENT: 'damaged',
    };
    {
      await using _tracing = await startWith(t, env, (message) => errors.push(message));
      const connection = await connectProducer(redis.url, { name: 'store' });
      const queues = openQueues(connection);
      await inSpan('panamax enqueue', {}, () => queues.add('delta', [{ id: 'run.item', data: {} }]));
      const key = `${connection.prefix}:delta:run.item`;
      const options = JSON.parse((await connection.redis.hget(key, 'opts'))!) as { tm: string };
      assert.match(options.tm, /traceparent/);
      await connection.redis.hset(key, 'opts', JSON.stringify({ ...options, tm: '{damaged' }));
      const worker = startQueueWorker('delta', connection, async () => ({ kind: 'done' }), {
        locks: LOCK_SETTINGS,
        concurrency: 1,
        onError: (error) => assert.fail(error),
      });
      await until(
        () => queues.states('delta', ['run.item']),
        ([state]) => state === 'completed',
      );
      await worker.stop(0);
      await queues.close();
      connection.redis.disconnect();
    }
    assert.ok(errors.length > 0);
  });

  test('are off unless an endpoint is named', async (t) => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
    for (const [i, env] of [
      {},
      { OTEL_EXPORTER_OTLP_ENDPOINT: '' },
      { ...endpoint, OTEL_SDK_DISABLED: 'true' },
      { ...endpoint, OTEL_SDK_DISABLED: 'false', OTEL_TRACES_EXPORTER: 'none' },
    ].entries()) {
      assert.equal(await startWith(t, env, (message) => assert.fail(message)), undefined, String(i));
    }
    const redis = await startRedis(t);
    const connection = await connectProducer(redis.url, { name: 'store' });
    const queues = openQueues(connection);
    await queues.add('delta', [{ id: 'run.item', data: { run: 'run', item: 'item' } }]);
    const options = (await connection.redis.hget(`${connection.prefix}:delta:run.item`, 'opts'))!;
    assert.ok(!('tm' in (JSON.parse(options) as object)));
    await queues.close();
    connection.redis.disconnect();
  });
});
