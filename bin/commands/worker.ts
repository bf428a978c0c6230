import { startTracing } from '../../lib/queue/tracing.ts';
import { PanamaxError } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { createAllowlist } from '../../lib/image/allowlist.ts';
import { serveLiveness, type Page } from '../../lib/web/server.ts';
import { createMetrics, type Metrics, type MetricSources } from '../../workers/metrics.ts';
import { STAGES, type Stage } from '../../lib/run/stage.ts';
import { createScratch } from '../../lib/runtime/scratch.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { runWorker, type RunningWorker } from '../../workers/worker.ts';
import { findBuild } from '../build.ts';
import { COMMON, pick, type Command } from '../command.ts';
import { BOARD_OPTIONS, readBoardOptions } from '../options/board.ts';
import { parseListen } from '../options/listen.ts';
import { NOTIFY_OPTIONS, openNotifier } from '../options/notify.ts';
import { redisUrl, REDIS_OPTION } from '../options/queue.ts';
import { REGISTRY_OPTIONS } from '../options/registry.ts';
import {
  memorySize,
  readSigning,
  scratchParent,
  scratchSize,
  SIGN_OPTIONS,
  STORE_OPTIONS,
} from '../options/session.ts';

export const workerCommand: Command = {
  summary: 'Runs jobs from the queue until it is stopped by a signal, or as long as there are any.',
  operands: ['[STAGE]'],
  options: {
    concurrency: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'number of jobs at a time, over all stages',
      default: '1',
      env: true,
    },
    grace: {
      type: 'string',
      value: 'SECONDS',
      help: 'time for running jobs to finish after a signal; then they go back to the queue',
      default: '20',
    },
    drain: {
      type: 'boolean',
      help: 'end when the queues of the store are empty, for jobs of Kubernetes or CI',
    },
    once: { type: 'string', value: 'N', help: 'end after N jobs' },
    listen: {
      type: 'string',
      value: '[HOST:]PORT',
      env: true,
      help: 'serve /healthz, /readyz and /metrics over HTTP (default: off)',
    },
    ...BOARD_OPTIONS,
    allow: {
      type: 'string',
      multiple: true,
      value: 'ROOT',
      env: true,
      help: 'read only images of docker://[HOST[/PATH]], below an absolute path, or TRANSPORT:[PATH] (default: all that runs name)',
    },
    'allow-host': {
      type: 'string',
      multiple: true,
      value: 'HOST',
      env: true,
      help: 'host name that requests to --listen and --board may use, in addition to the address listened on',
    },
    ...NOTIFY_OPTIONS,
    ...REDIS_OPTION,
    ...STORE_OPTIONS,
    ...SIGN_OPTIONS,
    'log-level': { ...STORE_OPTIONS['log-level']!, default: 'info' },
    ...REGISTRY_OPTIONS,
    ...pick(COMMON, 'max-image-size', 'max-expansion', 'scratch', 'help'),
  },
  async run(args, signal) {
    const stages = parseStages(args.operands[0] ?? 'all');
    const log = createLog(args.text('log-level')!);
    await using _tracing = await startTracing(findBuild().version, (error) => log.warn({ error }, 'traces'));
    const redis = redisUrl(args);
    const concurrency = args.count('concurrency');
    const grace = args.count('grace') * 1000;
    const memory = memorySize(args, stages);
    const signing = await readSigning(args);
    const store = await openStore(args.text('store')!);
    await using scratch = await createScratch(scratchParent(args));
    const size = scratchSize(args);
    const { limits } = args;
    const metrics = createMetrics();
    let running: RunningWorker | undefined;
    const listen = args.text('listen');
    const board = await readBoardOptions(args);
    const names = args.list('allow-host');
    const allowed = args.list('allow');
    await using liveness =
      listen === undefined
        ? undefined
        : await serveLiveness({
            listen: { ...parseListen(listen, '--listen'), names },
            pages: pagesOf(metrics, store, () => running),
          });
    await using notifier = await openNotifier(args, store.name, log);
    if (liveness) log.info({ port: liveness.port }, 'listening');
    await runWorker(
      {
        redis,
        store,
        stages,
        concurrency,
        limits,
        scratch: scratch.path,
        ...(size !== undefined && { scratchSize: size }),
        memorySize: memory,
        ...signing,
        ...(allowed.length > 0 && { checkReference: createAllowlist(allowed) }),
        grace,
        log,
        drain: args.flag('drain'),
        ...(args.text('once') !== undefined && { once: args.count('once') }),
        ...(board && { board }),
        ...(notifier && { notify: notifier.notify }),
        onAttempt: (event) => metrics.onAttempt(event),
        onReady: (worker) => (running = worker),
      },
      signal,
    );
  },
};

/** @throws PanamaxError `usage` */
function parseStages(text: string): readonly Stage[] {
  if (text === 'all') return STAGES;
  const stage = STAGES.find((known) => known === text);
  if (stage) return [stage];
  throw new PanamaxError('usage', 'unknown stage', { expected: `${STAGES.join(', ')} or all`, found: text });
}

function pagesOf(
  metrics: Metrics,
  store: Store,
  worker: () => RunningWorker | undefined,
): Record<string, Page> {
  const type = 'text/plain';
  return {
    '/healthz': { type, text: async () => 'alive\n' },
    '/readyz': {
      type,
      async text() {
        const running = worker();
        if (!running) throw new Error('not started yet');
        await Promise.all([running.ping(), store.stat('runs/none')]);
        return 'ready\n';
      },
    },
    '/metrics': { type: metrics.contentType, text: () => metrics.text(sourcesOf(worker())) },
  };
}

function sourcesOf(worker: RunningWorker | undefined): MetricSources | undefined {
  if (!worker) return undefined;
  const counts = async () => {
    const queues = Object.entries(await worker.counts());
    return Object.fromEntries(queues.map(([queue, states]) => [queue, { ...states }]));
  };
  return { counts, scratch: worker.scratch };
}
