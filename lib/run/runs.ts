import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { inRun, putDocument } from './document.ts';

/** The runs of a store, and whether they are being led; read from few small objects, however large a run is. */

/** Interval of the heartbeats of a coordinator, in milliseconds. */
export const HEARTBEAT = 30_000;
/** Time without a heartbeat after which a run is idle, in milliseconds. */
const SILENCE = 10 * 60_000;

/**
 * `over`: the report exists. `active`: a coordinator leads the run, or it was enqueued just now. `idle`: no coordinator
 * leads it; it continues when it is enqueued again, or when a worker takes it.
 */
export type RunState = {
  readonly state: 'over' | 'active' | 'idle';
  /** End, or last heartbeat, by the store's clock. */
  readonly since: Date;
};

/** Names of all runs in bytewise order. Reads one key per run. */
export async function* listRuns(store: Store): AsyncGenerator<string, void, void> {
  for (let after = ''; ;) {
    const first = await firstKey(store, after);
    if (first === undefined) return;
    const run = first.split('/')[1]!;
    yield run;
    // `0` follows `/`: skips all keys of this run
    after = `runs/${run}0`;
  }
}

async function firstKey(store: Store, after: string): Promise<string | undefined> {
  for await (const key of store.list('runs/', after)) return key;
  return undefined;
}

/** Records that a coordinator leads the run. */
export async function putHeartbeat(store: Store, run: string): Promise<void> {
  await putDocument(store, run, inRun.heartbeat, { at: new Date().toISOString() });
}

/** Writes heartbeats until disposed of. */
export async function keepAlive(store: Store, run: string): Promise<AsyncDisposable> {
  await putHeartbeat(store, run);
  let last = Promise.resolve();
  const timer = setInterval(() => {
    // an error is ignored: the next heartbeat makes up for it
    last = last.then(() => putHeartbeat(store, run)).catch(() => {});
  }, HEARTBEAT);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await last;
    },
  };
}

/** Undefined if the store has no such run. */
export async function findRunState(
  store: Store,
  run: string,
  now = Date.now(),
): Promise<RunState | undefined> {
  const report = await store.stat(keys.run(run, inRun.report));
  if (report) return { state: 'over', since: report.modified };
  const request = await store.stat(keys.run(run, inRun.request));
  if (!request) return undefined;
  const heartbeat = await store.stat(keys.run(run, inRun.heartbeat));
  const since = heartbeat && heartbeat.modified > request.modified ? heartbeat.modified : request.modified;
  return { state: now - since.getTime() < SILENCE ? 'active' : 'idle', since };
}
