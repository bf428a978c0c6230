/** Requests to the store for each pair of a run on the queue, and the wait of urgent pairs; with stages that do nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunRequest } from '../lib/run/request.ts';
import { findSummary } from '../lib/run/summary.ts';
import type { Store } from '../lib/store/objects/store.ts';
import { enqueue } from '../producers/enqueue.ts';
import type { StageHandlers } from '../workers/flow.ts';
import { idleStages } from '../test/support/idlestages.ts';
import { startRedis } from '../test/support/redis.ts';
import { planOf, startLocalWorker, until } from '../test/support/worker.ts';

export interface QueueFigures {
  readonly requestsPerPair: number;
  /** Pairs of a bulk run that started after an urgent pair was queued and before it started, in the median. */
  readonly urgent: number;
  /** The same without a priority. */
  readonly normal: number;
}

const PAIRS = 3;
/** Keys in a page of a listing. */
const PAGE = 1000;
/** Images of the bulk run and of the urgent one, and the time of a pair in milliseconds. */
const BULK = 300;
const URGENT = 10;
const PAIR_TIME = 20;

export async function measureQueue(): Promise<QueueFigures> {
  const ends: (() => Promise<void>)[] = [];
  const scope = { after: (action: () => Promise<void>) => void ends.push(action) };
  const directory = await mkdtemp(join(tmpdir(), 'panamax-queue-'));
  try {
    const redis = await startRedis(scope);
    const options = { redis: redis.url, retryFailed: false, dryRun: false };

    async function runWith(
      store: Store,
      plan: Partial<RunRequest> & { readonly id: string },
      images: number,
    ) {
      const names = Array.from({ length: images }, (_, i) => `${plan.id}-${i}`);
      await enqueue(planOf(directory, names, { ...plan, top: PAIRS }), store, options);
    }
    const counted = makeCountingStore('counted');
    const handlers = idleStages(PAIRS);
    await startLocalWorker(scope, { redis: redis.url, store: counted.store, directory, handlers });
    const requestsOf = async (id: string, images: number) => {
      const before = counted.requests();
      await runWith(counted.store, { id }, images);
      await over(counted.store, id);
      return counted.requests() - before;
    };
    const some = await requestsOf('some', 100);
    const requestsPerPair = ((await requestsOf('twice', 200)) - some) / (100 * PAIRS);

    async function waitOf(priority: Partial<RunRequest>): Promise<number> {
      const { store } = makeCountingStore(`with priority ${priority.priority ?? 'normal'}`);
      const started: { readonly run: string; readonly item: string }[] = [];
      /** Number of pairs that had started when a pair of the urgent run was queued. */
      const queued = new Map<string, number>();
      const stages: StageHandlers = {
        ...handlers,
        async pairing(job, request, context) {
          const result = await handlers.pairing(job, request, context);
          for (const { item } of result.next!.jobs) queued.set(item, started.length);
          return result;
        },
        async delta(job, request, context) {
          started.push(job);
          await delay(PAIR_TIME);
          return handlers.delta(job, request, context);
        },
      };
      const worker = { redis: redis.url, store, directory, handlers: stages };
      await startLocalWorker(scope, { ...worker, stages: ['signature', 'pairing'] });
      await startLocalWorker(scope, { ...worker, stages: ['delta'] });
      await runWith(store, { id: 'bulk' }, BULK);
      await until(
        async () => started.length,
        (count) => count > BULK / 2,
      );
      await runWith(store, { id: 'urgent', ...priority }, URGENT);
      await over(store, 'urgent');
      const waits = started.flatMap(({ run, item }, place) =>
        run === 'urgent'
          ? [started.slice(queued.get(item), place).filter((other) => other.run === 'bulk').length]
          : [],
      );
      return waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)]!;
    }
    const urgent = await waitOf({ priority: 'high' });
    return { requestsPerPair, urgent, normal: await waitOf({}) };
  } finally {
    for (const end of ends) await end();
    await rm(directory, { recursive: true, force: true });
  }
}

async function over(store: Store, run: string): Promise<void> {
  await until(
    () => findSummary(store, run),
    (summary) => summary !== undefined,
  );
}

function makeCountingStore(name: string) {
  const objects = new Map<string, Buffer>();
  let requests = 0;
  const count = () => void requests++;
  const store: Store = {
    name,
    where: name,
    async get(key) {
      count();
      return objects.get(key);
    },
    async put(key, bytes) {
      count();
      objects.set(key, Buffer.from(bytes));
    },
    async stat(key) {
      count();
      const found = objects.get(key);
      return found && { size: found.length, modified: new Date() };
    },
    async remove(key) {
      count();
      objects.delete(key);
    },
    async *list(prefix, after = '') {
      count();
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
      for (const [i, key] of keys.entries()) {
        if (i > 0 && i % PAGE === 0) count();
        yield key;
      }
    },
    putFile: () => Promise.reject(new Error('not used')),
    open: () => Promise.reject(new Error('not used')),
  };
  return { store, requests: () => requests };
}
