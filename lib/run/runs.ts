import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { inRun, putDocument } from './document.ts';

/**
 * Which runs a store knows, and whether somebody is at work on them: told by few small objects, however large a run is.
 */

/** Who leads a run says so this often, in milliseconds. */
export const HEARTBEAT = 30_000;
/** A run that has not been heard of for so long is led by nobody, in milliseconds. */
const SILENCE = 10 * 60_000;

/**
 * `over`: there is a report. `active`: somebody leads it, or it was enqueued just now. `idle`: nobody does; it goes on
 * when it is enqueued again, or a worker takes it.
 */
export type RunState = {
  readonly state: 'over' | 'active' | 'idle';
  /** When it ended, or was last heard of, by the store's clock. */
  readonly since: Date;
};

/** The names of all runs, in bytewise order. What is in a run is not listed. */
export async function* listRuns(store: Store): AsyncGenerator<string, void, void> {
  for (let after = ''; ;) {
    const first = await firstKey(store, after);
    if (first === undefined) return;
    const run = first.split('/')[1]!;
    yield run;
    // behind all of `runs/ID/`
    after = `runs/${run}0`;
  }
}

async function firstKey(store: Store, after: string): Promise<string | undefined> {
  for await (const key of store.list('runs/', after)) return key;
  return undefined;
}

/** Says that somebody leads a run. */
export async function putHeartbeat(store: Store, run: string): Promise<void> {
  await putDocument(store, run, inRun.heartbeat, { at: new Date().toISOString() });
}

/** Says so again and again, until it is disposed of. */
export async function keepAlive(store: Store, run: string): Promise<AsyncDisposable> {
  await putHeartbeat(store, run);
  let last = Promise.resolve();
  const timer = setInterval(() => {
    // what is missed now is said by the next
    last = last.then(() => putHeartbeat(store, run)).catch(() => {});
  }, HEARTBEAT);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await last;
    },
  };
}

/** Undefined where the store knows no such run. */
export async function findRunState(
  store: Store,
  run: string,
  now = Date.now(),
): Promise<RunState | undefined> {
  const report = await store.stat(keys.run(run, inRun.report));
  if (report) return { state: 'over', since: report.modified };
  const plan = await store.stat(keys.run(run, inRun.plan));
  if (!plan) return undefined;
  const heartbeat = await store.stat(keys.run(run, inRun.heartbeat));
  const since = heartbeat && heartbeat.modified > plan.modified ? heartbeat.modified : plan.modified;
  return { state: now - since.getTime() < SILENCE ? 'active' : 'idle', since };
}
