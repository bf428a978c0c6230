import { sealDocument } from '../sealed.ts';
import type { GenericSchema } from 'valibot';
import { runPool } from '../runtime/pool.ts';
import { parseWith, type Checked } from '../schema.ts';
import { keys } from '../store/keys.ts';
import { MAX_DOCUMENT_SIZE, tooLarge, type Store } from '../store/objects/store.ts';
import type { Stage, Status } from './stage.ts';

/** Names below `runs/<id>/`. */
export const inRun = {
  request: 'run.json',
  requestPage: (number: number) => `run/${String(number).padStart(6, '0')}.json`,
  heartbeat: 'heartbeat.json',
  report: 'report.json',
  part: (number: number) => `report/${String(number).padStart(6, '0')}.json`,
  scope: (scope: string) => `scopes/${scope}.json`,
  scopePage: (scope: string, number: number) => `scopes/${scope}/${String(number).padStart(6, '0')}.json`,
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

/** @throws PanamaxError `limit` for a document that would be too large to read */
export async function putDocument(store: Store, run: string, name: string, value: object): Promise<void> {
  const key = keys.run(run, name);
  const bytes = sealDocument(value);
  if (bytes.length > MAX_DOCUMENT_SIZE) throw tooLarge(bytes.length, `${store.where} ${key}`);
  await store.put(key, bytes);
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
