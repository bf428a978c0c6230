/** The progress of a backfill on a terminal, in a log and for programs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseArguments } from '../../bin/arguments.ts';
import { createMeter, metered } from '../../bin/meter.ts';
import { createProgress, createSteps, progressMode, PROGRESS_OPTIONS } from '../../bin/progress.ts';

/** The output for a backfill of two pairs. */
function written(mode: Parameters<typeof createProgress>[0]): string {
  let text = '';
  const write = (piece: string | Uint8Array) => {
    text += String(piece);
    return true;
  };
  const onProgress = createProgress(mode, { write, columns: 120 });
  onProgress('delta', { total: 2 });
  onProgress('delta', { total: 2, item: 'b from a', status: 'started' });
  onProgress('delta', { total: 2, item: 'b from a', status: 'done', saved: 5_000_000 });
  onProgress('delta', { total: 2, item: 'c from a', status: 'started', secondsLeft: 7 });
  onProgress('delta', { total: 2, item: 'c from a', status: 'failed' });
  return text;
}

function modeOf(isTTY: boolean, ...argv: readonly string[]) {
  return progressMode(parseArguments(argv, PROGRESS_OPTIONS, {}), { isTTY });
}

async function* stream() {
  yield Buffer.alloc(600);
  yield Buffer.alloc(400);
}

test('of bytes is a line on a terminal with the rate, and a document for programs', async () => {
  let text = '';
  const write = (piece: string | Uint8Array) => {
    text += String(piece);
    return true;
  };
  for (const mode of ['bar', 'json', 'plain', 'quiet'] as const) {
    const meter = createMeter('rebuild', 1000, mode, { write, columns: 100 });
    assert.equal((await Array.fromAsync(metered(stream(), meter))).length, 2);
  }
  const [bar, document, rest] = text.split('\n');
  assert.match(bar!, /rebuild █{16} 1\.00 kB of 1\.00 kB, .*\/s$/);
  assert.deepEqual(JSON.parse(document!), { version: 1, stage: 'rebuild', total: 1000, done: 1000 });
  assert.equal(rest, '');
});

describe('progress', () => {
  test('is a bar with running items, time left and savings on a terminal', () => {
    const frames = written('bar').split('\r\x1b[K').slice(1);
    assert.equal(frames.length, 4);
    assert.equal(frames[0], 'delta     ░░░░░░░░░░░░░░░░ 0/2: b from a');
    assert.match(frames[2]!, /^delta {5}█{8}░{8} 1\/2, 7 s left, 5\.00 MB saved: c from a$/);
    assert.equal(frames[3], 'delta     ████████████████ 2/2, 5.00 MB saved\n');
  });

  test('is a line or a document per item elsewhere, or nothing', () => {
    assert.equal(written('plain'), 'delta 1/2 done b from a\ndelta 2/2 failed c from a\n');
    const last = JSON.parse(written('json').trim().split('\n').at(-1)!) as object;
    const item = { item: 'c from a', status: 'failed', savedBytes: 5_000_000 };
    assert.deepEqual(last, { version: 1, stage: 'delta', total: 2, done: 2, ...item });
    assert.equal(written('quiet'), '');
  });

  test('is chosen by options and the terminal', () => {
    assert.equal(modeOf(false), 'plain');
    assert.equal(modeOf(true, '--progress', 'json'), 'json');
    assert.equal(modeOf(true, '-q'), 'quiet');
    assert.throws(() => modeOf(true, '--progress', 'much'), { kind: 'usage' });
  });
});

test('a meter ends when all bytes are there, once', () => {
  let text = '';
  const write = (piece: string) => ((text += piece), true);
  const meter = createMeter('download', 10, 'bar', { write, columns: 100 });
  for (const count of [4, 6, 1]) meter.add(count);
  meter.end();
  assert.equal(text.match(/\n/g)?.length, 1);
  assert.match(text, /10 B of 10 B/);
});

test('steps are a line each, documents, or one line on a terminal', () => {
  const written = { plain: '', json: '', bar: '', quiet: '' };
  for (const mode of ['plain', 'json', 'bar', 'quiet'] as const) {
    const write = (piece: string) => ((written[mode] += piece), true);
    const show = createSteps(mode, { write, columns: 80 });
    for (const step of ['read a', 'make patch', undefined]) show(step);
  }
  assert.equal(written.plain, 'read a\nmake patch\n');
  assert.deepEqual(
    written.json
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [
      { version: 1, step: 'read a' },
      { version: 1, step: 'make patch' },
    ],
  );
  assert.deepEqual(written.bar.split('\r\x1b[K'), ['', 'read a: 0 s', 'make patch: 0 s', '']);
  assert.equal(written.quiet, '');
});
