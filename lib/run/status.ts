import type { Store } from '../store/objects/store.ts';
import { listOutcomes, readOutcomes } from './outcome.ts';
import { findPairings, listPairs, loadPairs, loadRequest, nameSources } from './record.ts';
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
import { imagesOf, items } from './request.ts';
import { findRunState } from './runs.ts';
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
  /** Estimate for the known pairs, from the rate of the last ones; undefined without a rate. */
  readonly secondsLeft?: number;
}

export interface StageStatus extends Omit<Counts, 'total'> {
  /** Undefined until the stage before is over. */
  readonly total: number | undefined;
}

export type Failure = Pick<Failed, 'error'> & { readonly what: string };

/** Number of last items that the rate is computed from. */
const RATE_WINDOW = 50;
/** Documents in memory at a time. */
const CHUNK = 500;

/** Summary of a pair that is over; small, because a run may have many. */
interface DeltaRead {
  readonly status: Status;
  readonly finished: number;
  readonly bytes: PatchBytes;
}

/**
 * Returns a function that reads the status of a run; each call reads only documents that are new.
 *
 * @throws PanamaxError `not-found` if the store has no such run; `bad-input`
 */
export async function createStatusReader(store: Store, id: string): Promise<() => Promise<RunStatus>> {
  const request = await loadRequest(store, id);
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
    const pairings = await findPairings(store, id);
    const pairs = await listPairs(store, id);
    await readDeltas(over.delta);
    const failures = await readFailures(over);
    const signatures = imagesOf(request).map((reference) => items.signature(reference, request.platform));
    const rankings = (pairings?.pairings ?? []).map(({ target, scope }) =>
      items.pairing(target.manifest, scope),
    );
    const isComplete = pairings?.isComplete === true;
    const state = await findRunState(store, id);
    const secondsLeft = timeLeft(pairs.length - over.delta.size);
    return {
      id,
      started: request.started,
      stages: {
        signature: countStage(signatures, over.signature, true),
        pairing: countStage(rankings, over.pairing, isComplete),
        delta: countStage(pairs, over.delta, isComplete),
      },
      failures,
      bytes: [...read.deltas.values()].map(({ bytes }) => bytes).reduce(addBytes, sumBytes([])),
      ...(state?.state === 'idle' && { idleSince: state.since.toISOString() }),
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
    };
  }

  async function readDeltas(over: ReadonlyMap<string, Status>): Promise<void> {
    const news = [...over].filter(([item, status]) => read.deltas.get(item)?.status !== status);
    for (let at = 0; at < news.length; at += CHUNK) {
      const chunk = new Map(news.slice(at, at + CHUNK));
      for (const [item, outcome] of await readOutcomes(store, id, 'delta', chunk)) {
        const { status, finished } = outcome;
        const patches = outcome.status === 'failed' ? [] : outcome.patches;
        read.deltas.set(item, { status, finished: Date.parse(finished), bytes: sumBytes(patches) });
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

  function timeLeft(left: number): number | undefined {
    const times = [...read.deltas.values()]
      .map(({ finished }) => finished)
      .sort((a, b) => a - b)
      .slice(-RATE_WINDOW);
    if (left === 0 || times.length < 2) return undefined;
    const each = (times.at(-1)! - times[0]!) / (times.length - 1);
    return Math.round((each * left) / 1000);
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
  const pairs = stage === 'delta' ? await loadPairs(store, run, [...read.keys()]) : undefined;
  const failures = new Map<string, Failure>();
  for (const [item, outcome] of read) {
    if (outcome.status !== 'failed') continue;
    const pair = pairs?.get(item);
    let what = item;
    if (pair) what = `${pair.target.reference} from ${nameSources(pair)}`;
    else if ('reference' in outcome) what = outcome.reference;
    else if ('target' in outcome) what = outcome.target.reference;
    failures.set(item, { what, error: outcome.error });
  }
  return failures;
}

function countStage(
  known: readonly string[],
  over: ReadonlyMap<string, Status>,
  isComplete: boolean,
): StageStatus {
  const counts = countStatuses(known.map((item) => over.get(item)));
  return isComplete ? counts : { ...counts, total: undefined };
}

async function statusOfSummary(store: Store, summary: RunSummary): Promise<RunStatus> {
  const failures: Failure[] = [];
  for await (const part of readParts(store, summary, ({ failures }) => failures > 0)) {
    failures.push(...failuresOf(part));
  }
  const { id, started, finished, stages, bytes } = summary;
  return { id, started, finished, stages, failures, bytes };
}
