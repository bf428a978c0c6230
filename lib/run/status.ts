import { PanamaxError } from '../errors.ts';
import type { Store } from '../store/objects/store.ts';
import { listOutcomes, readOutcomes } from './outcome.ts';
import { loadPair, loadRequest, nameSources } from './record.ts';
import {
  countStatuses,
  failuresOf,
  addBytes,
  sumBytes,
  type Counts,
  type Failed,
  type PatchBytes,
  type RunSummary,
} from './report.ts';
import { imagesOf } from './request.ts';
import { findProgress, findRunState, type Progress } from './runs.ts';
import { STAGES, type Stage, type Status } from './stage.ts';
import { findSummary, readParts } from './summary.ts';

/** Progress of a run, read from the store alone. */
export interface RunStatus {
  readonly id: string;
  readonly started: string;
  /** Undefined until the run is over. */
  readonly finished?: string;
  /** Last sign of life, if no coordinator leads the run. */
  readonly idleSince?: string;
  readonly stages: Readonly<Record<Stage, StageStatus>>;
  readonly failures: readonly Failure[];
  /** Over the pairs that are over: bytes of pulls, and of the published patches. */
  readonly bytes: PatchBytes;
  /** Estimate for all stages; undefined while a stage has work left and no rate, or its items are not known. */
  readonly secondsLeft?: number;
  /** Undefined once the run is over, or before a coordinator has led it. */
  readonly work?: Readonly<Record<Stage, StageWork>>;
}

export interface StageStatus extends Omit<Counts, 'total'> {
  /** Undefined until the stage before is over. */
  readonly total: number | undefined;
}

export interface StageWork {
  /** Bytes of the items that were done, and of those that are left as far as they are known; of rankings their number. */
  readonly done: number;
  readonly left: number;
  /** Estimate from the work of the last minutes. */
  readonly secondsLeft?: number;
}

export type Failure = Pick<Failed, 'error'> & { readonly what: string };

/** Documents in memory at a time. */
const CHUNK = 500;

/** Summary of a pair that is over; small, because a run may have many. */
interface DeltaRead {
  readonly status: Status;
  readonly bytes: PatchBytes;
}

/**
 * Returns a function that reads the status of a run; each call reads only documents that are new.
 *
 * @throws PanamaxError `not-found` if the store has no such run; `bad-input`
 */
export async function createStatusReader(store: Store, id: string): Promise<() => Promise<RunStatus>> {
  const request = await loadRequest(store, id);
  const images = imagesOf(request).length;
  const read = {
    deltas: new Map<string, DeltaRead>(),
    failures: new Map<string, Failure>(),
  };

  async function current(): Promise<RunStatus> {
    const summary = await findSummary(store, id);
    if (summary) return statusOfSummary(store, summary);
    const over = {
      signature: await listOutcomes(store, id, 'signature'),
      pairing: await listOutcomes(store, id, 'pairing'),
      delta: await listOutcomes(store, id, 'delta'),
    };
    const progress = await findProgress(store, id);
    await readDeltas(over.delta);
    const failures = await readFailures(over);
    const state = await findRunState(store, id);
    const stages = {
      signature: stageStatus('signature', over, progress, images),
      pairing: stageStatus('pairing', over, progress),
      delta: stageStatus('delta', over, progress),
    };
    const work = progress && workOf(progress, stages);
    const secondsLeft = work && timeLeft(stages, work);
    return {
      id,
      started: request.started,
      stages,
      failures,
      bytes: [...read.deltas.values()].map(({ bytes }) => bytes).reduce(addBytes, sumBytes([])),
      ...(state?.state === 'idle' && { idleSince: state.since.toISOString() }),
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
      ...(work && { work }),
    };
  }

  async function readDeltas(over: ReadonlyMap<string, Status>): Promise<void> {
    const news = [...over].filter(([item, status]) => read.deltas.get(item)?.status !== status);
    for (let at = 0; at < news.length; at += CHUNK) {
      const chunk = new Map(news.slice(at, at + CHUNK));
      for (const [item, outcome] of await readOutcomes(store, id, 'delta', chunk)) {
        const patches = outcome.status === 'failed' ? [] : outcome.patches;
        read.deltas.set(item, { status: outcome.status, bytes: sumBytes(patches) });
      }
    }
  }

  async function readFailures(
    over: Readonly<Record<Stage, ReadonlyMap<string, Status>>>,
  ): Promise<Failure[]> {
    const failures: Failure[] = [];
    for (const stage of STAGES) {
      const failed = [...over[stage]].filter(([, status]) => status === 'failed');
      const news = failed.filter(([item]) => !read.failures.has(`${stage} ${item}`));
      for (const [item, failure] of await findFailures(store, id, stage, new Map(news))) {
        read.failures.set(`${stage} ${item}`, failure);
      }
      failures.push(...failed.flatMap(([item]) => read.failures.get(`${stage} ${item}`) ?? []));
    }
    return failures;
  }

  return current;
}

async function findFailures(
  store: Store,
  run: string,
  stage: Stage,
  failed: ReadonlyMap<string, Status>,
): Promise<Map<string, Failure>> {
  const read = await readOutcomes(store, run, stage, failed);
  const failures = new Map<string, Failure>();
  for (const [item, outcome] of read) {
    if (outcome.status !== 'failed') continue;
    let what = item;
    if ('ranking' in outcome) what = await nameOfPair(store, run, outcome.ranking, item);
    else if ('reference' in outcome) what = outcome.reference;
    else if ('target' in outcome) what = outcome.target.reference;
    failures.set(item, { what, error: outcome.error });
  }
  return failures;
}

/** The images of a pair; its item if its ranking has been made again since, and has chosen others. */
async function nameOfPair(store: Store, run: string, ranking: string, item: string): Promise<string> {
  try {
    const pair = await loadPair(store, run, ranking, item);
    return `${pair.target.reference} from ${nameSources(pair)}`;
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'not-found') return item;
    throw error;
  }
}

/** @param known number of items; by default those that the coordinator knows, if it knows all */
function stageStatus(
  stage: Stage,
  over: Readonly<Record<Stage, ReadonlyMap<string, Status>>>,
  progress: Progress | undefined,
  known = progress?.isComplete ? progress.stages[stage].known : undefined,
): StageStatus {
  const counts = countStatuses(over[stage].values());
  // an outcome may be newer than what the coordinator has written
  return { ...counts, total: known === undefined ? undefined : Math.max(known, counts.total) };
}

const isLeft = ({ total, done, skipped, failed }: StageStatus) =>
  total === undefined || total > done + skipped + failed;

function workOf(
  progress: Progress,
  stages: Readonly<Record<Stage, StageStatus>>,
): Readonly<Record<Stage, StageWork>> {
  const of = (stage: Stage): StageWork => {
    const { work, secondsLeft } = progress.stages[stage];
    return { ...work, ...(secondsLeft !== undefined && isLeft(stages[stage]) && { secondsLeft }) };
  };
  return { signature: of('signature'), pairing: of('pairing'), delta: of('delta') };
}

/** Time for all stages, one after the other. */
function timeLeft(
  stages: Readonly<Record<Stage, StageStatus>>,
  work: Readonly<Record<Stage, StageWork>>,
): number | undefined {
  const left = STAGES.filter((stage) => isLeft(stages[stage]));
  const times = left.map((stage) =>
    stages[stage].total === undefined ? undefined : work[stage].secondsLeft,
  );
  if (times.length === 0 || times.includes(undefined)) return undefined;
  return times.reduce((sum: number, one) => sum + one!, 0);
}

async function statusOfSummary(store: Store, summary: RunSummary): Promise<RunStatus> {
  const failures: Failure[] = [];
  for await (const part of readParts(store, summary, ({ failures }) => failures > 0)) {
    failures.push(...failuresOf(part));
  }
  const { id, started, finished, stages, bytes } = summary;
  return { id, started, finished, stages, failures, bytes };
}
