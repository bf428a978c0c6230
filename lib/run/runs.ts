import * as v from 'valibot';
import { objectSchema, sizeSchema, type Checked } from '../schema.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';
import { getDocument, inRun, putDocument } from './document.ts';

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

const stageProgressSchema = objectSchema({
  /** Items that are known so far. */
  known: sizeSchema,
  /** Bytes of the items that were done, and of those that are left; of rankings their number. */
  work: objectSchema({ done: v.number(), left: v.number() }),
  /** Estimate; undefined without a rate, or without work left. */
  secondsLeft: v.exactOptional(v.number()),
});
export type StageProgress = Checked<typeof stageProgressSchema>;

const progressSchema = objectSchema({
  /** All rankings are known. */
  isComplete: v.boolean(),
  stages: objectSchema({
    signature: stageProgressSchema,
    pairing: stageProgressSchema,
    delta: stageProgressSchema,
  }),
});

/** The state of a run as the process that leads it has written it. */
export type Progress = Checked<typeof progressSchema>;

const heartbeatSchema = objectSchema({ at: v.string(), progress: v.exactOptional(progressSchema) });

/** Records that a coordinator leads the run, and how far it has come. */
export async function putHeartbeat(store: Store, run: string, progress?: Progress): Promise<void> {
  await putDocument(store, run, inRun.heartbeat, {
    at: new Date().toISOString(),
    ...(progress && { progress }),
  });
}

/** Heartbeats of a run that this process leads from stage to stage. */
export interface Alive extends AsyncDisposable {
  /** Writes how far the run has come. */
  report(progress: Progress): Promise<void>;
}

/** Writes heartbeats until disposed of. */
export async function keepAlive(store: Store, run: string): Promise<Alive> {
  let progress: Progress | undefined;
  let last = putHeartbeat(store, run);
  await last;
  const beat = () => (last = last.catch(() => {}).then(() => putHeartbeat(store, run, progress)));
  // an error is ignored: the next heartbeat makes up for it
  const timer = setInterval(() => void beat().catch(() => {}), HEARTBEAT);
  return {
    async report(reached) {
      progress = reached;
      await beat();
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await last.catch(() => {});
    },
  };
}

/** Undefined before a process has led the run. @throws PanamaxError `bad-input` */
export async function findProgress(store: Store, run: string): Promise<Progress | undefined> {
  return (await getDocument(store, run, inRun.heartbeat, heartbeatSchema))?.progress;
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
