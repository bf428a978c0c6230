/** Files that are read while they are written. */
import assert from 'node:assert/strict';
import { appendFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { followFile } from '../../../lib/site/offers/arriving.ts';
import { temporaryDirectory } from '../../support/directory.ts';

const signal = new AbortController().signal;

test('a file is read from its start, as it grows, to its end', async (t) => {
  const path = join(await temporaryDirectory(t), 'file');
  const written = Promise.withResolvers<void>();
  const follow = followFile(path, written.promise, signal);
  const first = follow();
  const next = first.next();
  await writeFile(path, 'one');
  assert.deepEqual((await next).value, Buffer.from('one'));
  const whole = buffer(follow());
  await appendFile(path, ' two');
  assert.deepEqual((await first.next()).value, Buffer.from(' two'));
  const last = first.next();
  written.resolve();
  assert.equal((await last).done, true);
  assert.equal((await whole).toString(), 'one two');
});

test('a reader gets the bytes that are there, then the error of the writer', async (t) => {
  const path = join(await temporaryDirectory(t), 'file');
  await writeFile(path, 'one');
  const follow = followFile(path, Promise.reject(new Error('cut')), signal)();
  assert.deepEqual((await follow.next()).value, Buffer.from('one'));
  await assert.rejects(follow.next(), /cut/);
});

test('a file that begins anew, and an abort, end the reader', async (t) => {
  const path = join(await temporaryDirectory(t), 'file');
  await writeFile(path, 'one');
  const never = new Promise<void>(() => {});
  const follow = followFile(path, never, signal)();
  await follow.next();
  await truncate(path);
  await assert.rejects(follow.next(), /begins anew/);
  const stop = new AbortController();
  const other = followFile(`${path}-missing`, never, stop.signal)().next();
  stop.abort(new Error('stopped'));
  await assert.rejects(other, /stopped/);
});
