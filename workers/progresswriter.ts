import { isDeepStrictEqual } from 'node:util';
import { HEARTBEAT, putHeartbeat, type Progress, type StageProgress } from '../lib/run/runs.ts';
import type { Stage } from '../lib/run/stage.ts';
import { createTimeLeft } from '../lib/run/timeleft.ts';
import type { Store } from '../lib/store/objects/store.ts';
import type { RunPlan } from './runplan.ts';

/** Writes how far a run has come: a heartbeat whenever that has changed, but not too often. */
export interface ProgressWriter {
  write(plan: RunPlan): Promise<void>;
}

/** Interval between changes at least, in milliseconds. */
const INTERVAL = 2000;

export function createProgressWriter(run: string, store: Store): ProgressWriter {
  const times = { signature: createTimeLeft(), pairing: createTimeLeft(), delta: createTimeLeft() };
  let last: Progress | undefined;
  let written = -Infinity;
  return {
    async write(plan) {
      const progress = progressOf(plan, (stage, work) => times[stage].estimate(work));
      const isNew = progress.isComplete !== last?.isComplete;
      const age = performance.now() - written;
      if (!isNew && age < (isDeepStrictEqual(progress, last) ? HEARTBEAT : INTERVAL)) return;
      await putHeartbeat(store, run, progress);
      [last, written] = [progress, performance.now()];
    },
  };
}

/** @param estimate seconds for the work left */
export function progressOf(
  plan: RunPlan,
  estimate: (stage: Stage, work: StageProgress['work']) => number | undefined = () => undefined,
): Progress {
  const stageOf = (stage: Stage): StageProgress => {
    const work = plan.work(stage);
    const secondsLeft = estimate(stage, work);
    const known = plan.counts(stage).total;
    return { known, work, ...(secondsLeft !== undefined && { secondsLeft }) };
  };
  return {
    isComplete: plan.isComplete,
    stages: { signature: stageOf('signature'), pairing: stageOf('pairing'), delta: stageOf('delta') },
  };
}
