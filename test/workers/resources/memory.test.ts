/** Resources that jobs of one process share: memory and slots. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { streamInFile } from '../../../lib/image/layerstream.ts';
import { rootfsThread } from '../../../lib/image/threads.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { createMemory, deltaMemory, PROCESS_MEMORY } from '../../../workers/resources/memory.ts';
import { runThread } from '../../../lib/runtime/thread.ts';
import { enqueue } from '../../../producers/enqueue.ts';
import { FLOW, type StageHandlers } from '../../../workers/flow.ts';
import { makeReleases, RELEASES } from '../../support/backfill.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { fileScope } from '../../support/scope.ts';
import { panamaxFails } from '../../support/panamax.ts';
import { missing } from '../../support/programs.ts';
import { hungryThread } from '../../support/threads.ts';
import { startRedis, type Redis } from '../../support/redis.ts';
import { writeTar } from '../../support/tar.ts';
import { finishedRun, planOf, startLocalWorker } from '../../support/worker.ts';

const skip = missing('redis-server');
const { signal } = new AbortController();
const scope = fileScope();
const redis: Redis = skip ? (undefined as never) : await startRedis(scope);

test('memory is reserved in FIFO order, and a job that never fits is refused', async () => {
  const memory = createMemory(PROCESS_MEMORY + 100);
  await assert.rejects(memory.reserve(101, signal), {
    kind: 'limit',
    message: /at most 100 bytes \(--memory/,
  });
  const first = await memory.reserve(60, signal);
  const order: string[] = [];
  const reserve = async (name: string, bytes: number, stop = signal) => {
    const reserved = await memory.reserve(bytes, stop);
    order.push(name);
    return reserved;
  };
  const large = reserve('large', 80);
  const small = reserve('small', 20);
  const leaving = new AbortController();
  const gone = reserve('gone', 100, leaving.signal);
  leaving.abort();
  await assert.rejects(gone, { name: 'AbortError' });
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await large)[Symbol.dispose]();
  (await small)[Symbol.dispose]();
  assert.deepEqual(order, ['large', 'small']);
  (await memory.reserve(100, signal))[Symbol.dispose]();
});

test('a thread above its heap limit ends with a limit error', async () => {
  await assert.rejects(runThread(hungryThread, 64, signal, 16 * 1024 ** 2), {
    kind: 'limit',
    message: /at most 16 MiB of heap/,
  });
  assert.equal(await runThread(hungryThread, 1, signal, 64 * 1024 ** 2), 1);
});

test('the heap limit holds for a listing that waits for its reads', async (t) => {
  const directory = await temporaryDirectory(t);
  const tar = writeTar(Array.from({ length: 100_000 }, (_, i) => ({ path: `usr/share/${i}` })));
  const path = join(directory, 'layer');
  await writeFile(path, tar);
  const task = { stream: streamInFile(path, [tar.length]), limits: DEFAULT_LIMITS };
  await assert.rejects(runThread(rootfsThread, task, signal, 16 * 1024 ** 2), {
    kind: 'limit',
    message: /at most 16 MiB of heap/,
  });
});

test('a worker limits its concurrent jobs over all stages', { skip }, async (t) => {
  const directory = await makeReleases(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  let running = 0;
  let most = 0;
  const counted = <Args extends unknown[], Result>(handler: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      most = Math.max(most, ++running);
      try {
        return await handler(...args);
      } finally {
        running--;
      }
    };
  };
  const handlers: StageHandlers = {
    signature: counted(FLOW.signature),
    pairing: counted(FLOW.pairing),
    delta: counted(FLOW.delta),
  };
  const memorySize = PROCESS_MEMORY + 512 * 1024 ** 2;
  const worker = await startLocalWorker(t, {
    redis: redis.url,
    store,
    directory,
    handlers,
    concurrency: 2,
    memorySize,
  });
  const options = { redis: redis.url, retryFailed: false, dryRun: false };
  const runs = ['one', 'two', 'three'];
  // stages of several runs at once
  for (const [i, id] of runs.entries())
    await enqueue(planOf(directory, RELEASES.slice(i), { id }), store, options);
  for (const id of runs) assert.deepEqual((await finishedRun(store, id)).failures, []);
  assert.equal(most, 2);
  assert.ok(worker.events.every(({ status }) => status !== 'retried'));

  await worker.stop();
  const other = await openDirectoryStore(join(directory, 'other'));
  const little = PROCESS_MEMORY + deltaMemory(0, 'default');
  await startLocalWorker(t, { redis: redis.url, store: other, directory, memorySize: little });
  await enqueue(planOf(directory, ['a1'], { id: 'small' }), other, options);
  const { failures } = await finishedRun(other, 'small');
  assert.equal(failures.length, 1);
  assert.match(failures[0]!.error.message, /more memory .* at most 167772160 bytes \(--memory/);
  await panamaxFails(
    'usage',
    /--memory: expected at least 640M for signature, pairing, delta, found 500M/,
    'worker',
    '--memory',
    '500M',
    '--store',
    join(directory, 'store'),
    '--redis',
    redis.url,
  );
});
