import { asRecord, parseDocument } from '../json.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { runPool } from '../runtime/pool.ts';
import type { Stage, Status } from './stage.ts';

/** Names below `runs/<id>/`. */
export const inRun = {
  plan: 'run.json',
  heartbeat: 'heartbeat.json',
  report: 'report.json',
  part: (number: number) => `report/${String(number).padStart(6, '0')}.json`,
  pairings: 'pairings.json',
  scope: (scope: string) => `scopes/${scope}.json`,
  pairs: 'pairs/',
  pair: (item: string) => `pairs/${item}.json`,
  outcomes: (stage: Stage) => `outcomes/${stage}/`,
  outcome: (stage: Stage, item: string, status: Status) => `outcomes/${stage}/${item}.${status}.json`,
};

/** Documents below `runs/<id>/` are JSON. Undefined where there is none. @throws PanamaxError `bad-input` */
export async function getDocument(
  store: Store,
  run: string,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  const key = keys.run(run, name);
  const bytes = await store.get(key);
  const where = `${store.where} ${key}`;
  return bytes && asRecord(parseDocument(bytes, where), where);
}

export async function putDocument(store: Store, run: string, name: string, value: object): Promise<void> {
  await store.put(keys.run(run, name), Buffer.from(`${JSON.stringify(value)}\n`));
}

/** Requests at a time where many small objects are read or written. */
const REQUESTS = 32;

/** Many small requests, a number at a time; the first that fails is thrown once none is under way. */
export async function each<Item>(
  list: readonly Item[],
  action: (item: Item) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const run = (item: Item) =>
    action(item).catch((error: unknown) => {
      stop.abort(error);
      throw error;
    });
  await runPool(list, REQUESTS, run, stop.signal);
  if (stop.signal.aborted) throw stop.signal.reason;
}
