/** Health checks and metrics of a worker, and its log. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { makeReleases } from '../support/backfill.ts';
import { panamax, panamaxFails, panamaxJson } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { finishedRun, until } from '../support/worker.ts';
import { atEnd } from '../support/scope.ts';

const MAIN = fileURLToPath(new URL('../../bin/panamax.ts', import.meta.url));

interface Line {
  readonly msg: string;
  readonly port?: number;
  readonly run?: string;
  readonly stage?: string;
  readonly job?: string;
}

test(
  'a worker that has drained ends, whatever a library has left open',
  { skip: missing('redis-server') },
  async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const stored = ['--store', join(directory, 'store'), '--redis', redis.url];
    // a server nobody closes: by itself a process with one never ends
    const leak = 'data:text/javascript,import { createServer } from "node:net"; createServer().listen(0);';
    const worker = spawn(
      process.execPath,
      ['--import', leak, MAIN, 'worker', ...stored, '--scratch', join(directory, 'scratch')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const closed = once(worker, 'close');
    atEnd(t, () => worker.kill('SIGKILL'));
    let said = '';
    worker.stderr.on('data', (piece) => (said += String(piece)));
    const images = ['a1', 'a2'].map((name) => join(directory, name));
    await panamaxJson('enqueue', ...images, '--run', 'one', '--effort', 'fast', ...stored);
    await finishedRun(await openDirectoryStore(join(directory, 'store')), 'one');
    worker.kill('SIGTERM');
    assert.deepEqual(await closed, [0, null]);
    assert.match(said, /"msg":"worker stopped"\}\n$/);
  },
);

for (const [title, options, jobs] of [
  ['that drains the queues ends when they are empty', ['--drain'], 6],
  ['for two jobs ends after two', ['--once', '2'], 2],
] as const) {
  test(`a worker ${title}`, { skip: missing('redis-server') }, async (t) => {
    const redis = await startRedis(t);
    const directory = await makeReleases(t, ['a1', 'a2']);
    const stored = ['--store', join(directory, 'store'), '--redis', redis.url];
    const images = ['a1', 'a2'].map((name) => join(directory, name));
    await panamaxJson('enqueue', ...images, '--run', 'one', '--effort', 'fast', ...stored);
    const { code, stderr } = await panamax(
      'worker',
      ...options,
      ...stored,
      '--scratch',
      join(directory, 'scratch'),
    );
    assert.equal(code, 0, stderr);
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    assert.equal(lines.filter(({ stage }) => stage && stage !== 'run').length, jobs, stderr);
  });
}

test('a worker serves its health and metrics', { skip: missing('redis-server') }, async (t) => {
  const redis = await startRedis(t);
  const directory = await makeReleases(t, ['a1', 'a2']);
  const images = ['a1', 'a2'].map((name) => join(directory, name));
  const stored = ['--store', join(directory, 'store'), '--redis', redis.url];
  const options = [...stored, '--scratch', join(directory, 'scratch'), '--listen', '0'];
  const worker = spawn(process.execPath, [MAIN, 'worker', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = once(worker, 'exit');
  atEnd(t, () => worker.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface(worker.stderr).on('line', (line) => lines.push(JSON.parse(line) as Line));
  const { port } = (await until(
    async () => lines.find(({ msg }) => msg === 'listening'),
    (line) => line !== undefined,
  ))!;
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return { status: answer.status, text: await answer.text() };
  };
  const statusOf = async (path: string) => (await get(path)).status;

  assert.deepEqual(await get('/healthz'), { status: 200, text: 'alive\n' });
  await until(
    () => statusOf('/readyz'),
    (status) => status === 200,
  );
  assert.equal(await statusOf('/etc/passwd'), 404);
  assert.equal(await statusOf('/__proto__'), 404);
  assert.equal((await get('/metrics', 'POST')).status, 405);

  const bad = join(directory, 'none');
  await panamaxJson('enqueue', ...images, bad, '--unchecked', '--run', 'one', '--effort', 'fast', ...stored);
  await finishedRun(await openDirectoryStore(join(directory, 'store')), 'one');
  const { text } = await get('/metrics');
  for (const line of [
    'panamax_attempts_total{stage="signature",status="done"} 2',
    'panamax_attempts_total{stage="delta",status="done"} 2',
    'panamax_failures_total{stage="signature",kind="not-found"} 1',
    'panamax_attempt_seconds_count{stage="pairing",status="done"} 2',
    'panamax_queue_jobs{queue="delta",state="waiting"} 0',
    'panamax_queue_jobs{queue="signature",state="failed"} 1',
    'panamax_scratch_layers{result="miss"} 4',
    'panamax_scratch_layers{result="hit"} 4',
  ]) {
    assert.ok(text.split('\n').includes(line), `${line}\n\n${text}`);
  }
  for (const pattern of [
    /^panamax_patch_bytes_written_total\{format="panamax"\} [1-9]/m,
    /^panamax_pull_bytes_saved_total\{format="panamax"\} [1-9]/m,
    /^panamax_layer_bytes_read [1-9]/m,
  ]) {
    assert.match(text, pattern);
  }
  const ofJobs = lines.filter(({ msg }) => /stored|published|failed/.test(msg));
  assert.ok(ofJobs.length >= 7);
  for (const line of ofJobs) {
    assert.ok(line.run === 'one' && line.stage && line.job, JSON.stringify(line));
  }

  // alive without Redis, but of no use
  await redis.stop();
  await until(
    () => statusOf('/readyz'),
    (status) => status === 503,
  );
  assert.equal(await statusOf('/healthz'), 200);
  assert.equal(await statusOf('/metrics'), 200);
  await redis.start();
  await until(
    () => statusOf('/readyz'),
    (status) => status === 200,
  );
  worker.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null]);
  await panamaxFails('usage', /--listen: expected \[HOST:\]PORT/, 'worker', ...stored, '--listen', 'here');
});
