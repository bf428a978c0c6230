import { toPanamaxError } from '../../lib/errors.ts';
import { connectWorker } from '../../lib/queue/connection.ts';
import { QUEUES } from '../../lib/queue/names.ts';
import { openQueues, type Queues } from '../../lib/queue/queues.ts';
import { raceAbort } from '../../lib/runtime/abort.ts';
import { openStore } from '../../lib/store/objects/open.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { serve } from '../../lib/web/server.ts';
import { absoluteReference } from '../../producers/question/references.ts';
import { pick, COMMON, type Command } from '../command.ts';
import type { DashboardData } from '../dashboard/page.ts';
import { savingsOf } from '../dashboard/releases.ts';
import { createRunReader, type Runs } from '../dashboard/runs.ts';
import { createDashboard } from '../dashboard/server.ts';
import { readInventory } from '../options/inventory.ts';
import { createJobTitles } from '../../lib/web/jobtitles.ts';
import { BOARD_OPTIONS, readBoardOptions } from '../options/board.ts';
import { parseListen } from '../options/listen.ts';
import { MIRROR_OPTIONS } from '../options/mirror.ts';
import { findRedisUrl, REDIS_OPTION } from '../options/queue.ts';
import { STORE_OPTIONS } from '../options/session.ts';

const DEFAULT_LISTEN = '127.0.0.1:5601';
/** Time that figures are kept, however many look at them. In milliseconds. */
const KEPT = 2000;
/** Time for Redis to answer, in milliseconds. */
const REDIS_TIMEOUT = 2000;

export const dashboardCommand: Command = {
  summary:
    'Serves live pages about a store: runs, patches of each image, sites, queues; without authentication.',
  operands: [],
  options: {
    listen: {
      type: 'string',
      value: '[HOST:]PORT',
      env: true,
      help: 'address to serve on',
      default: DEFAULT_LISTEN,
    },
    inventory: {
      type: 'string',
      value: 'FILE',
      env: true,
      help: 'sites whose savings are shown, as for enqueue',
    },
    ...BOARD_OPTIONS,
    'allow-host': {
      ...MIRROR_OPTIONS['allow-host']!,
      help: 'host name that requests may use, in addition to the address listened on',
    },
    ...REDIS_OPTION,
    ...pick(STORE_OPTIONS, 'store'),
    ...pick(COMMON, 'help'),
  },
  async run(args, signal) {
    const names = args.list('allow-host');
    const address = parseListen(args.text('listen')!, '--listen');
    const board = await readBoardOptions(args);
    const inventory = args.text('inventory');
    if (inventory !== undefined) await readInventory(inventory);
    const url = findRedisUrl(args);
    const store = await openStore(args.text('store')!, { signal, mustExist: true });
    await using stack = new AsyncDisposableStack();
    const queues = url === undefined ? undefined : openRedis(url, store, stack);
    let boardPort: number | undefined;
    if (board && url !== undefined) {
      // loaded only when it is used, since it is large
      const { serveBoard } = await import('../../lib/web/board.ts');
      const connection = connectWorker(url, store, () => {});
      const titleOf = createJobTitles(store);
      boardPort = stack.use(await serveBoard(connection, { ...board, titleOf })).port;
    }
    const readRuns = createRunReader(store);
    const read = kept(async (): Promise<DashboardData> => {
      const runs = await readRuns();
      return {
        ...runs,
        store: store.where,
        sites: inventory === undefined ? undefined : await sitesOf(inventory, runs).catch(reasonOf),
        queues: queues && (await countsOf(queues).catch(reasonOf)),
      };
    });
    const listener = stack.use(
      await serve({ ...address, names }, createDashboard({ store, read, boardPort })),
    );
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    process.stdout.write(`http://${host}:${listener.port}/\n`);
    await raceAbort(new Promise<never>(() => {}), signal).catch(() => {});
  },
};

function openRedis(url: string, store: Store, stack: AsyncDisposableStack): Queues {
  const connection = connectWorker(url, store, () => {});
  const queues = openQueues(connection);
  stack.defer(async () => {
    connection.redis.disconnect();
    await queues.close();
  });
  return queues;
}

async function countsOf(queues: Queues): Promise<DashboardData['queues']> {
  const late = AbortSignal.timeout(REDIS_TIMEOUT);
  const [counts, workers] = await raceAbort(Promise.all([queues.counts(), queues.workers()]), late);
  return Object.fromEntries(QUEUES.map((name) => [name, { ...counts[name], workers: workers[name] }]));
}

async function sitesOf(path: string, { patches }: Runs): Promise<DashboardData['sites']> {
  const sets = await readInventory(path);
  const spelled = sets.map((set) => ({ ...set, images: set.images.map(absoluteReference) }));
  return savingsOf(spelled, patches);
}

function reasonOf(error: unknown): string {
  const isLate = error instanceof DOMException && error.name === 'TimeoutError';
  return isLate ? 'Redis does not answer' : toPanamaxError(error).message;
}

/** Runs an action once at a time and every few seconds at most; all that ask meanwhile get the same result. */
function kept<Result>(action: () => Promise<Result>): () => Promise<Result> {
  let last: Promise<Result> | undefined;
  let endedAt = Infinity;
  return () => {
    if (last && performance.now() < endedAt + KEPT) return last;
    endedAt = Infinity;
    last = action().finally(() => (endedAt = performance.now()));
    return last;
  };
}
