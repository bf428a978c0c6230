/** Benchmark of the queue driver, its records and Redis, with a delta stage that does nothing. See `--help`. */
import { digestOf, type Digest } from '../lib/digest.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import { makeCandidate } from '../test/support/candidate.ts';
import { connectProducer, type Connection } from '../lib/queue/connection.ts';
import { prefixOf } from '../lib/queue/names.ts';
import { openQueues } from '../lib/queue/queues.ts';
import { items, type RunRequest } from '../lib/run/request.ts';
import { putRequest } from '../lib/run/record.ts';
import { listOutcomes, putOutcome } from '../lib/run/outcome.ts';
import { openDirectoryStore } from '../lib/store/objects/directory.ts';
import { enqueue } from '../producers/enqueue.ts';
import { addJobs } from '../workers/schedule.ts';
import { FLOW } from '../workers/flow.ts';
import type { DeltaJob } from '../workers/jobs.ts';
import { runWorker } from '../workers/worker.ts';
import { freePort } from '../test/support/port.ts';
import { runCommand } from './command.ts';

const HELP = `Measures the queue with a delta stage that does nothing.

Usage: npm run bench:queue -- [options]

Starts a separate redis-server. Figures are printed as Markdown.

  --pairs N     pairs that go through the queue (default: 3000)
  --queued N    pairs queued to measure the memory of Redis (default: 100000)
  --images N    images added by one call of enqueue (default: 10000)
  --dir DIR     directory of the store (default: TMPDIR); every outcome is flushed to its disk
`;

const log = { info() {}, warn() {} };
/** Sources that a worker keeps, for the count of unpackings. */
const CACHED = 4;
const TARGETS_PER_SOURCE = 8;
const SCOPE = 'b'.repeat(16);

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      pairs: { type: 'string', default: '3000' },
      queued: { type: 'string', default: '100000' },
      images: { type: 'string', default: '10000' },
      dir: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const directory = await mkdtemp(join(values.dir, 'panamax-bench-'));
  const port = await freePort();
  const server = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'yes'],
    { stdio: 'ignore' },
  );
  const url = `redis://127.0.0.1:${port}`;
  try {
    const connection = await connected(url);
    const rows = [
      ...(await measureEnqueue(url, connection, directory, Number(values.images))),
      ...(await measureMemory(connection, Number(values.queued))),
      ...(await measureThroughput(url, connection, directory, Number(values.pairs))),
    ];
    connection.redis.disconnect();
    process.stdout.write(`| | |\n| --- | --- |\n${rows.map((row) => `| ${row.join(' | ')} |\n`).join('')}`);
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    await rm(directory, { recursive: true, force: true });
  }
}

type Row = readonly [what: string, figure: string];

async function measureEnqueue(
  redis: string,
  connection: Connection,
  directory: string,
  images: number,
): Promise<Row[]> {
  await connection.redis.flushall();
  const store = await openDirectoryStore(join(directory, 'enqueue'));
  const targets = Array.from(
    { length: images },
    (_, i) => `oci:/images/of/a/registry/application-${i}:1.0.${i}`,
  );
  const before = process.memoryUsage.rss();
  const started = performance.now();
  await enqueue(planOf('enqueue', targets), store, { redis, retryFailed: false, dryRun: false });
  const seconds = (performance.now() - started) / 1000;
  const grown = process.memoryUsage.rss() - before;
  return [[`enqueue of ${images} images`, `${seconds.toFixed(1)} s, ${megabytes(grown)} of memory`]];
}

async function measureMemory(connection: Connection, pairs: number): Promise<Row[]> {
  const { redis } = connection;
  await redis.flushall();
  const queues = openQueues(connection);
  const before = await usedMemory(connection);
  const started = performance.now();
  for (let at = 0; at < pairs; at += 10_000) {
    const chunk = Array.from({ length: Math.min(10_000, pairs - at) }, (_, i) =>
      jobOf('2026-11-24T19-14-28-517Z-abcdef', pairOf(at + i)),
    );
    await addJobs('delta', chunk, queues);
  }
  const seconds = (performance.now() - started) / 1000;
  const used = (await usedMemory(connection)) - before;
  await queues.close();
  return [
    [`Redis, per 100,000 queued pairs`, megabytes((used / pairs) * 100_000)],
    ['pairs added per second', Math.round(pairs / seconds).toString()],
  ];
}

async function measureThroughput(
  redis: string,
  connection: Connection,
  directory: string,
  pairs: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const order of ['by source', 'in order of arrival'] as const) {
    await connection.redis.flushall();
    const run = order.replaceAll(' ', '-');
    const store = await openDirectoryStore(join(directory, run));
    await putRequest(store, planOf(run, ['target', 'source']));
    const all = Array.from({ length: pairs }, (_, i) => pairOf(i));
    for (let at = 0; at < all.length; at += 64) {
      await Promise.all(
        all
          .slice(at, at + 64)
          .map(({ target, source }) =>
            putOutcome(store, run, 'pairing', rankingOf(target), outcomeOf(target, source)),
          ),
      );
    }
    const queues = openQueues({ ...connection, prefix: prefixOf(store) });
    const jobs = all.map((pair) => jobOf(run, pair));
    if (order === 'by source') await addJobs('delta', jobs, queues);
    else
      await queues.add(
        'delta',
        jobs.map((job) => ({ id: `${job.run}.${job.item}`, data: job })),
      );

    const seen: string[][] = [[], [], [], []];
    const stop = new AbortController();
    const started = performance.now();
    const workers = seen.map((sources) =>
      runWorker(
        {
          redis,
          store,
          stages: ['delta'],
          concurrency: 1,
          limits: DEFAULT_LIMITS,
          scratch: directory,
          grace: 1000,
          log,
          handlers: {
            ...FLOW,
            async delta({ item }: DeltaJob) {
              sources.push(item.slice(0, 8));
              return { status: 'done', outcome: { patches: [] } };
            },
          },
        },
        stop.signal,
      ),
    );
    while (seen.reduce((n, { length }) => n + length, 0) < pairs) await sleep(20);
    while ((await listOutcomes(store, run, 'delta')).size < pairs) await sleep(20);
    const seconds = (performance.now() - started) / 1000;
    stop.abort();
    await Promise.all(workers);
    await queues.close();
    const unpackings = seen.reduce((n, sources) => n + countMisses(sources), 0);
    rows.push(
      [`pairs per second, four workers, ${order}`, Math.round(pairs / seconds).toString()],
      [
        `unpackings of ${pairs / TARGETS_PER_SOURCE} sources for ${pairs} pairs, ${CACHED} cached by each of four workers, ${order}`,
        String(unpackings),
      ],
    );
  }
  return rows;
}

/** Number of pairs whose source is not among the last few sources. */
function countMisses(sources: readonly string[]): number {
  const cached: string[] = [];
  let misses = 0;
  for (const source of sources) {
    const at = cached.indexOf(source);
    if (at >= 0) cached.splice(at, 1);
    else misses++;
    cached.push(source);
    if (cached.length > CACHED) cached.shift();
  }
  return misses;
}

/** The pairs in the order of the pairing stage, target by target, so that pairs of one source are far apart. */
function pairOf(i: number): { item: string; target: Digest; source: Digest } {
  const target = digestOf(`target ${i}`);
  const random = Number.parseInt(target.slice(-8), 16);
  const source = digestOf(`source ${random % Math.max(1, Math.floor(3000 / TARGETS_PER_SOURCE))}`);
  return { item: items.delta(target, source), target, source };
}

function jobOf(run: string, { item, target }: Pick<ReturnType<typeof pairOf>, 'item' | 'target'>): DeltaJob {
  return { run, item, ranking: rankingOf(target) };
}

function outcomeOf(target: Digest, source: Digest) {
  return {
    status: 'done' as const,
    target: { manifest: target, reference: 'target' },
    scope: SCOPE,
    pairs: [{ sources: [{ manifest: source, reference: 'source' }], candidate: makeCandidate(source) }],
    passedOver: [],
  };
}

const rankingOf = (target: Digest) => items.pairing(target, SCOPE);

function planOf(id: string, targets: readonly string[]): RunRequest {
  return {
    id,
    started: new Date().toISOString(),
    targets,
    residents: [{ images: targets }],
    top: 1,
    formats: ['xdelta'],
    effort: 'default',
  };
}

async function usedMemory({ redis }: Connection): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))![1]);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

async function connected(url: string): Promise<Connection> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connectProducer(url, { name: 'bench' });
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(100);
    }
  }
}

await runCommand(main);
