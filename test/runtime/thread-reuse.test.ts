/** Threads are kept between small jobs, and ended after failures, aborts and large jobs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runThread } from '../../lib/runtime/thread.ts';
import { probe } from '../support/probe.ts';

test('reuses a thread after a small job, for the same heap limit only', async () => {
  const first = await runThread(probe, {});
  assert.equal((await runThread(probe, {})).id, first.id);
  assert.notEqual((await runThread(probe, {}, undefined, 2 ** 28)).id, first.id);
  assert.equal((await runThread(probe, {})).id, first.id);
});

test('runs concurrent jobs in threads of their own', async () => {
  const ids = await Promise.all([1, 2, 3].map(async () => (await runThread(probe, {})).id));
  assert.equal(new Set(ids).size, 3);
});

test('ends a thread that failed, was aborted or holds much memory', async () => {
  const before = await runThread(probe, {});
  await assert.rejects(runThread(probe, { fails: true }), { kind: 'bad-input', message: /as asked/ });
  const after = await runThread(probe, {});
  assert.notEqual(after.id, before.id);
  assert.equal((await runThread(probe, { bytes: 2 ** 26 })).id, after.id);
  const fresh = await runThread(probe, {});
  assert.notEqual(fresh.id, after.id);

  const controller = new AbortController();
  const running = runThread(probe, { endless: true }, controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(running, /enough/);
  assert.notEqual((await runThread(probe, {})).id, fresh.id);
});

test('an abort after the end of a job does not end the kept thread', async () => {
  const controller = new AbortController();
  const { id } = await runThread(probe, {}, controller.signal);
  controller.abort();
  assert.equal((await runThread(probe, {})).id, id);
  await assert.rejects(runThread(probe, {}, controller.signal), { name: 'AbortError' });
});
