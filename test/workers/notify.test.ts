/** Events of runs reach a real listener as CloudEvents, and a bad listener does not hold up the work. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as v from 'valibot';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { signatureOf } from '../../lib/runtime/http/secret.ts';
import { enqueue } from '../../producers/enqueue.ts';
import { EVENT_SCHEMAS, type Event, type EventType } from '../../workers/notify/events.ts';
import { createNotifier, type NotifierOptions } from '../../workers/notify/notifier.ts';
import { makeReleases } from '../support/backfill.ts';
import { panamaxFails, panamaxJson } from '../support/commands.ts';
import { freePort } from '../support/port.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { planOf, startLocalWorker, until } from '../support/worker.ts';

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly event: Event & Readonly<Record<string, string>>;
}

/** @param answer answers the request, or leaves it open; by default 204 */
async function startReceiver(
  scope: Scope,
  answer: (response: ServerResponse, received: readonly Received[]) => void = (response) =>
    response.writeHead(204).end(),
) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      received.push({ headers: request.headers, body, event: JSON.parse(body.toString()) as never });
      return answer(response, received);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?x=1`);
  return { url, received };
}

/** Checks the attributes (CloudEvents 1.0) and the data. */
function check({ headers, event }: Received, store: string): EventType {
  assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  const { specversion, id, source, type, time, datacontenttype, data } = event;
  assert.deepEqual(
    [specversion, source, datacontenttype],
    ['1.0', pathToFileURL(store).href, 'application/json'],
  );
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.ok(!Number.isNaN(Date.parse(time!)), time);
  assert.deepEqual(v.parse(EVENT_SCHEMAS[type] as v.GenericSchema, data), data);
  return type;
}

function isEnd({ event }: Received): boolean {
  return event.type === 'panamax.run.finished';
}

function eventOf(run: string): Event {
  const error = { kind: 'io', message: 'm' } as const;
  return { id: run, type: 'panamax.run.failed', subject: run, data: { version: 1, run, error } };
}

function open(url: URL, options: Partial<NotifierOptions> = {}) {
  const warnings: Record<string, unknown>[] = [];
  const log = { info() {}, warn: (fields: object) => void warnings.push({ ...fields }) };
  const notifier = createNotifier({ urls: [url], store: 's3://bucket', log, delay: 5, ...options });
  return { warnings, notifier };
}

function subjects(received: readonly Received[]): string[] {
  return received.map((one) => one.event.subject);
}

test(
  'a run on the queue tells of its patches, its failures and its end',
  { skip: missing('redis-server') },
  async (t) => {
    const directory = await makeReleases(t, ['a1', 'a2']);
    const location = join(directory, 'store');
    const store = await openDirectoryStore(location);
    const redis = await startRedis(t);
    const { url, received } = await startReceiver(t);
    await writeFile(join(directory, 'broken'), 'no image');
    const log = { info() {}, warn() {} };
    await using notifier = createNotifier({ urls: [url], secret: 'a secret', store: store.name, log });
    await startLocalWorker(t, { directory, redis: redis.url, store, notify: notifier.notify });
    const plan = planOf(directory, ['a1', 'a2', 'broken'], { sources: ['a1', 'a2'] });
    await enqueue(plan, store, { redis: redis.url, retryFailed: false, dryRun: false });
    await until(
      async () => received,
      (seen) => seen.some(isEnd),
    );

    const types = received.map((one) => check(one, location));
    assert.deepEqual(types.toSorted(), [
      'panamax.item.failed',
      'panamax.patch.published',
      'panamax.patch.published',
      'panamax.run.finished',
    ]);
    for (const { headers, body } of received) {
      assert.equal(headers['x-hub-signature-256'], signatureOf('a secret', body));
    }
    const failure = received.find(({ event }) => event.type === 'panamax.item.failed')!.event;
    assert.equal(failure.subject, join(directory, 'broken'));
    const patch = received.find(({ event }) => event.type === 'panamax.patch.published')!.event;
    const { target, source } = patch.data as { target: { reference: string }; source: { reference: string } };
    assert.deepEqual(
      [target.reference, source.reference].toSorted(),
      ['a1', 'a2'].map((name) => join(directory, name)),
    );
    assert.equal(patch.subject, target.reference);
    const end = received.find(isEnd)!.event;
    assert.equal(end.subject, 'run');
    assert.deepEqual((end.data as { stages: { signature: object } }).stages.signature, {
      total: 3,
      done: 2,
      skipped: 0,
      failed: 1,
    });
  },
);

test('backfill tells of what it does, and waits for no one that is not there', async (t) => {
  const directory = await makeReleases(t, ['a1', 'a2']);
  const [old, target, location, secret] = ['a1', 'a2', 'store', 'secret'].map((name) =>
    join(directory, name),
  );
  await writeFile(secret!, 'sixteen letters!\n');
  const { url, received } = await startReceiver(t);
  const options = ['--sources', old!, '--effort', 'fast', '--store', location!];
  const notify = ['--notify', url.href, '--notify-secret-file', secret!];
  const { id } = await panamaxJson<{ id: string }>('backfill', target!, ...options, ...notify);
  assert.deepEqual(
    received.map((one) => check(one, location!)),
    ['panamax.patch.published', 'panamax.run.finished'],
  );
  assert.equal(received[1]!.event.subject, id);
  for (const { headers, body } of received) {
    assert.equal(headers['x-hub-signature-256'], signatureOf('sixteen letters!', body));
  }
  const wrong = ['backfill', target!, ...options];
  await panamaxFails('usage', /--notify/, ...wrong, '--notify', 'file:///etc/passwd');
  await panamaxFails('usage', /no receiver of events/, ...wrong, '--notify-secret-file', secret!);
});

describe('a receiver', () => {
  test('that refuses for a while gets every event, in order', async (t) => {
    const { url, received } = await startReceiver(t, (response, { length }) =>
      response.writeHead(length <= 3 ? 503 : 200).end(),
    );
    const { notifier, warnings } = open(url);
    for (const run of ['a', 'b', 'c']) notifier.notify(eventOf(run));
    await notifier[Symbol.asyncDispose]();
    assert.deepEqual(subjects(received), ['a', 'a', 'a', 'a', 'b', 'c']);
    assert.equal(new Set(received.slice(0, 4).map(({ body }) => body.toString())).size, 1);
    assert.deepEqual(warnings, []);
    assert.equal(received[0]!.headers['x-hub-signature-256'], undefined);
  });

  test('that refuses for good, or sends elsewhere, gets the next event', async (t) => {
    for (const status of [400, 410, 302]) {
      const { url, received } = await startReceiver(t, (response) =>
        response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(),
      );
      const { notifier, warnings } = open(url);
      for (const run of ['a', 'b']) notifier.notify(eventOf(run));
      await notifier[Symbol.asyncDispose]();
      assert.deepEqual(subjects(received), ['a', 'b']);
      const reasons = warnings.map(({ reason, receiver, lost }) => [reason, receiver, lost]);
      const expected = [`the receiver answers ${status}`, url.origin, 1];
      assert.deepEqual(reasons, [expected, expected]);
    }
  });

  test('that is not there, or never answers, costs a bounded time', async (t) => {
    const { url } = await startReceiver(t, () => {});
    for (const place of [url, new URL(`http://127.0.0.1:${await freePort()}/`)]) {
      const { notifier, warnings } = open(place, { patience: 200, delay: 10_000 });
      for (let i = 0; i < 1100; i++) notifier.notify(eventOf(String(i)));
      const start = performance.now();
      await notifier[Symbol.asyncDispose]();
      assert.ok(performance.now() - start < 3000, String(performance.now() - start));
      assert.deepEqual(
        warnings.map(({ reason, lost }) => [reason, lost]),
        [
          ['the end', 1000],
          [undefined, 100],
        ],
      );
    }
  });
});
