import type { Store } from '../store/store.ts';
import { imagesOf, items, type RunPlan } from './plan.ts';
import {
  findPairings,
  findReport,
  listOutcomes,
  listPairs,
  loadPairs,
  loadPlan,
  nameSources,
  readOutcomes,
  type Pairing,
  type Status,
} from './record.ts';
import {
  countStatuses,
  failuresOf,
  type Counts,
  type Failed,
  type PatchOutcome,
  type RunReport,
} from './report.ts';
import { STAGES, type Stage } from './stage.ts';

/** How far a run is, from the store alone. */
export interface RunStatus {
  readonly id: string;
  readonly started: string;
  /** Undefined as long as it goes on. */
  readonly finished?: string;
  readonly stages: Readonly<Record<Stage, StageStatus>>;
  readonly failures: readonly Failure[];
  /** Over the pairs that are over: what pulls would move, and what the patches on offer move instead. */
  readonly bytes: { readonly pull: number; readonly patches: number; readonly saved: number };
  /** For the pairs that are known, at the rate of the last ones; undefined where there is none yet. */
  readonly secondsLeft?: number;
}

export interface StageStatus extends Omit<Counts, 'total'> {
  /** Undefined where the stage before has to tell first. */
  readonly total: number | undefined;
}

export type Failure = Pick<Failed, 'error'> & { readonly what: string };

/** The last items over which the rate is taken. */
const RATE_WINDOW = 50;

type DeltaRead = { readonly patches?: readonly PatchOutcome[]; readonly error?: Failed['error'] };

/**
 * Looks at a run again and again, reading what is new.
 *
 * @throws PanamaxError `not-found` where the store knows no such run
 */
export async function createStatusReader(store: Store, id: string): Promise<() => Promise<RunStatus>> {
  const plan = await loadPlan(store, id);
  const read = {
    deltas: new Map<string, DeltaRead & { status: Status; finished: string }>(),
    failures: new Map<string, Failure>(),
  };

  async function current(): Promise<RunStatus> {
    const report = await findReport(store, id);
    if (report) return statusOfReport(plan, report);
    const over = {
      signature: await listOutcomes(store, id, 'signature'),
      pairing: await listOutcomes(store, id, 'pairing'),
      delta: await listOutcomes(store, id, 'delta'),
    };
    const pairings = await findPairings(store, id);
    const pairs = await listPairs(store, id);
    await readDeltas(over.delta);
    const failures = await readFailures(over);
    const signatures = imagesOf(plan).map((reference) => items.signature(reference, plan.platform));
    const rankings = pairings?.map(({ target, scope }) => items.pairing(target.manifest, scope));
    const secondsLeft = timeLeft(pairs.length - over.delta.size);
    return {
      id,
      started: plan.started,
      stages: {
        signature: countStage(signatures, over.signature),
        pairing: countStage(rankings, over.pairing),
        delta: countStage(pairings && pairs, over.delta),
      },
      failures,
      bytes: sumBytes([...read.deltas.values()].flatMap(({ patches = [] }) => patches)),
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
    };
  }

  async function readDeltas(over: ReadonlyMap<string, Status>): Promise<void> {
    const news = [...over].filter(([item, status]) => read.deltas.get(item)?.status !== status);
    for (const [item, outcome] of await readOutcomes<DeltaRead>(store, id, 'delta', new Map(news))) {
      read.deltas.set(item, outcome);
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
      .map(({ finished }) => Date.parse(finished))
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
  type Read = Failed & Partial<Pairing> & { readonly reference?: string };
  const read = await readOutcomes<Read>(store, run, stage, failed);
  const pairs = stage === 'delta' ? await loadPairs(store, run, [...read.keys()]) : undefined;
  return new Map(
    [...read].map(([item, { error, reference, target }]) => {
      const pair = pairs?.get(item);
      const what = pair
        ? `${pair.target.reference} from ${nameSources(pair)}`
        : (reference ?? target?.reference ?? item);
      return [item, { what, error }];
    }),
  );
}

function countStage(all: readonly string[] | undefined, over: ReadonlyMap<string, Status>): StageStatus {
  const counts = countStatuses((all ?? []).map((item) => over.get(item)));
  return all ? counts : { ...counts, total: undefined };
}

function sumBytes(patches: readonly PatchOutcome[]): RunStatus['bytes'] {
  let pull = 0;
  let moved = 0;
  for (const { descriptor } of patches) {
    pull += descriptor.sizes.pull;
    moved += descriptor.patch?.size ?? descriptor.sizes.pull;
  }
  return { pull, patches: moved, saved: pull - moved };
}

function statusOfReport(plan: RunPlan, report: RunReport): RunStatus {
  const images = report.images.slice(0, imagesOf(plan).length);
  return {
    id: report.id,
    started: report.started,
    finished: report.finished,
    stages: {
      signature: countStatuses(images.map(({ status }) => status)),
      pairing: report.rankings,
      delta: countStatuses(report.pairs.map(({ status }) => status)),
    },
    failures: failuresOf(report),
    bytes: sumBytes(report.pairs.flatMap((pair) => (pair.status === 'failed' ? [] : pair.patches))),
  };
}
