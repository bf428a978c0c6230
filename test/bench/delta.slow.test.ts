import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { judgeGoals } from '../../bench/goals.ts';
import { drawPlot } from '../../bench/plot.ts';
import { writeReport } from '../../bench/report.ts';
import { findDone, type Done, type Results } from '../../bench/results.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import { writeLayout } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { writeTar } from '../support/tar.ts';

const BENCH = fileURLToPath(new URL('../../bench/delta.ts', import.meta.url));

test('bench:similar prints its usage and refuses wrong arguments', () => {
  const similar = fileURLToPath(new URL('../../bench/similar.ts', import.meta.url));
  const helped = spawnSync(process.execPath, [similar, '--help'], { encoding: 'utf8' });
  assert.equal(helped.status, 0);
  assert.match(helped.stdout, /^Usage: npm run bench:similar -- REDIS-URL/m);
  for (const words of [[], ['redis://127.0.0.1:1', 'many'], ['--what']]) {
    const refused = spawnSync(process.execPath, [similar, ...words], { encoding: 'utf8' });
    assert.equal(refused.status, EXIT_CODES.usage, refused.stderr);
    assert.doesNotMatch(refused.stderr, /^\s+at /m, 'a stack trace');
  }
});

describe('bench:delta', { skip: missing('time', 'xdelta3') }, () => {
  let directory: string;
  let corpus: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'panamax-bench-'));
    corpus = join(directory, 'corpus');
    const base = writeTar([{ path: 'etc/' }, { path: 'etc/words', content: words(0, 20_000) }]);
    const app = (from: number, mtime: number) =>
      writeTar([
        { path: 'app/', mtime },
        { path: 'app/main', content: words(from, 30_000), mtime },
      ]);
    await writeLayout(join(corpus, 'app-r1'), [base, app(50, 1)]);
    await writeLayout(join(corpus, 'app-r2'), [base, app(53, 2)]);
    await writeLayout(join(corpus, 'app-rebuild'), [base, app(50, 3)]);
  });
  after(() => rm(directory, { recursive: true, force: true }));

  async function bench(args: readonly string[], path = '') {
    const env = { ...process.env, PATH: `${path}${delimiter}${process.env['PATH']}`, TMPDIR: directory };
    const child = spawn(process.execPath, [BENCH, ...args], { env });
    const status = new Promise<number | null>((resolve) => void child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { stdout, stderr, status: await status };
  }

  test('measures every contestant on every pair', async () => {
    const out = join(directory, 'out');
    const pairs = 'app-r1:app-r2,app-r1:app-rebuild';
    const tools = 'xdelta3-lzma,panamax-xdelta,panamax-oci-delta,panamax-panamax,panamax-diff';
    const run = await bench([
      corpus,
      '--pairs',
      pairs,
      '--tools',
      tools,
      '--efforts',
      'default',
      '--out',
      out,
    ]);
    assert.equal(run.status, 0, run.stderr);

    const results = await readResults(out);
    assert.deepEqual(
      results.pairs.map(({ source, target }) => [source, target]),
      [
        ['app-r1', 'app-r2'],
        ['app-r1', 'app-rebuild'],
      ],
    );
    for (const pair of results.pairs) {
      assert.ok(
        pair.dedupedPullSize > 0 && pair.dedupedPullSize < pair.pullSize && pair.pullSize < pair.rawSize,
      );
      for (const name of [
        'xdelta3-lzma',
        'panamax-diff',
        ...['xdelta', 'oci-delta', 'panamax'].map((format) => `panamax-${format} default`),
      ]) {
        const done = findDone(pair, name);
        assert.ok(done, `${name}: ${JSON.stringify(pair.entries)}`);
        assert.ok(done.bytes > 0 && done.bytes < pair.rawSize / 10, `${name}: ${done.bytes} bytes`);
        assert.ok(done.encode.peakMemory > 1e6 && done.encode.cpuSeconds >= 0);
        assert.ok(done.apply && done.apply.peakMemory > 1e6);
        assert.equal(done.stockApply !== undefined, name === 'panamax-xdelta default');
      }
    }

    assert.match(run.stdout, /^\| app-r1 → app-r2 \| [\d,]+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \(\d/m);
    assert.match(
      run.stdout,
      /^\| .*no-cache rebuild of raw size \| at most 0\.1 % \| \d\.\d{4} % \(1 of 2 pairs\) \| (yes|no) \|$/m,
    );
    assert.doesNotMatch(run.stdout, /NaN|Infinity|undefined|Missing/);

    const plot = await readFile(join(out, 'delta.svg'), 'utf8');
    assert.equal(plot.match(/<circle /g)?.length, 2 * 5, 'each contestant in both panels');
    assert.equal(plot.match(/<polyline /g)?.length, 2 * 5, 'a line per tool');
    assert.doesNotMatch(plot, /NaN|Infinity|undefined/);
  });

  test('continues after a program that fails or rebuilds another file', async () => {
    const programs = join(directory, 'programs');
    await mkdir(programs);
    await script(join(programs, 'bsdiff'), 'echo no memory left >&2; exit 3');
    await script(join(programs, 'hdiffz'), 'for patch; do :; done; echo patch > "$patch"');
    await script(join(programs, 'hpatchz'), 'cp "$2" "$4"');
    const out = join(directory, 'failures');
    const tools = 'bsdiff,hdiffz,xdelta3-lzma';
    const run = await bench([corpus, '--pairs', 'app-r1:app-r2', '--tools', tools, '--out', out], programs);
    assert.equal(run.status, 0, run.stderr);
    const { entries } = (await readResults(out)).pairs[0]!;
    const failures = new Map(
      entries.map((entry) => [entry.tool, 'failure' in entry ? entry.failure : 'none']),
    );
    assert.match(failures.get('bsdiff')!, /exit status 3.*no memory left/);
    assert.match(failures.get('hdiffz')!, /not its target/);
    assert.equal(failures.get('xdelta3-lzma'), 'none');
    assert.match(run.stdout, /^- bsdiff: exit status 3.*\(app-r1 → app-r2\)$/m);
  });

  test('refuses wrong arguments before it starts', async () => {
    const runs = [
      { args: [], kind: 'usage' },
      { args: [corpus, '--tools', 'rsync'], kind: 'usage' },
      { args: [corpus, '--pairs', 'app-r1'], kind: 'usage' },
      { args: [corpus, '--pairs', 'app-r1:app-r9'], kind: 'not-found' },
    ] as const;
    for (const { args, kind } of runs) {
      const { status, stdout } = await bench([...args, '--out', directory]);
      assert.deepEqual([status, stdout], [EXIT_CODES[kind], ''], args.join(' '));
    }
  });
});

describe('goals', () => {
  const results: Results = {
    started: '2000-01-01T00:00:00.000Z',
    machine: { cpu: 'none', architecture: 'none', cores: 1, memory: 1, node: 'none' },
    absent: [],
    pairs: [
      pairResult('r1', 'r2', [entry('xdelta3-lzma', 1000, 10), entry('panamax-xdelta', 500, 2)]),
      pairResult('r1', 'r1-rebuild', [entry('xdelta3-lzma', 100, 10), entry('panamax-xdelta', 110, 7)]),
      pairResult('r2', 'r3', [
        { tool: 'xdelta3-lzma', failure: 'out of memory' },
        entry('panamax-xdelta', 1e6, 1e3),
      ]),
    ],
  };

  test('compare with the baseline on the pairs that both completed', () => {
    const figures = judgeGoals(results);
    const measured = Object.fromEntries(figures.map(({ what, measured }) => [what, measured]));
    assert.equal(measured['`xdelta`, bytes in total'], 610 / 1100);
    assert.equal(measured['`xdelta`, bytes of the worst pair'], 1.1);
    assert.equal(measured['`xdelta`, encode wall time in total, verified'], 9 / 20);
    assert.equal(measured['`xdelta` and `oci-delta`, peak memory of any encode'], 64);
    assert.equal(measured['`xdelta` and `oci-delta`, no-cache rebuild of raw size'], 11);
    assert.equal(measured['`oci-delta`, encode wall time in total, verified'], undefined);
  });

  test('are reported as reached, missed or not measured', () => {
    const report = writeReport(results);
    assert.match(report, /`xdelta`, bytes in total \| at most 0\.85 \| 0\.555 \(2 of 3 pairs\) \| yes \|/);
    assert.match(
      report,
      /`xdelta`, bytes of the worst pair \| at most 1\.02 \| 1\.100 \(2 of 3 pairs\) \| no \|/,
    );
    assert.match(report, /`oci-delta`, geometric mean of .* \| at most 0\.42 \| – \| – \|/);
    assert.match(report, /- xdelta3-lzma: out of memory \(r2 → r3\)/);
  });

  test('are plotted even if nothing was measured', () => {
    assert.doesNotMatch(drawPlot({ ...results, pairs: [] }), /NaN|Infinity|undefined/);
  });
});

async function readResults(out: string): Promise<Results> {
  return JSON.parse(await readFile(join(out, 'delta.json'), 'utf8')) as Results;
}

function pairResult(source: string, target: string, entries: Results['pairs'][number]['entries']) {
  return { source, target, rawSize: 1000, pullSize: 900, dedupedPullSize: 800, entries };
}

function entry(tool: string, bytes: number, wallSeconds: number): Done {
  const usage = { wallSeconds, cpuSeconds: wallSeconds, peakMemory: 64 * 1024 ** 2 };
  const effort = tool.startsWith('panamax') ? ({ effort: 'default' } as const) : {};
  return { tool, ...effort, bytes, encode: usage, apply: usage };
}

/** Lines that are all different. */
function words(from: number, count: number): string {
  return Array.from({ length: count }, (_, i) => `${(from + i) * 7919} word\n`).join('');
}

async function script(path: string, body: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}
