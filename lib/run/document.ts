import { sealDocument } from '../sealed.ts';
import type { GenericSchema } from 'valibot';
import { runPool } from '../runtime/pool.ts';
import { parseWith, type Checked } from '../schema.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import type { Stage, Status } from './stage.ts';

/** Names below `runs/<id>/`. */
export const inRun = {
  request: 'run.json',
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

/** Reads a JSON document below `runs/<id>/`; undefined if it does not exist. @throws PanamaxError `bad-input` */
export async function getDocument<Schema extends GenericSchema>(
  store: Store,
  run: string,
  name: string,
  schema: Schema,
): Promise<Checked<Schema> | undefined> {
  const key = keys.run(run, name);
  const bytes = await store.get(key);
  return bytes && parseWith(schema, bytes, `${store.where} ${key}`);
}

export async function putDocument(store: Store, run: string, name: string, value: object): Promise<void> {
  await store.put(keys.run(run, name), sealDocument(value));
}

/** Concurrent requests for many small objects. */
const REQUESTS = 32;

/** Runs an action for each item, some at a time. The first error is thrown after all started actions have ended. */
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
