import { toPanamaxError, type PanamaxError } from '../lib/errors.ts';
import { putOutcome } from '../lib/run/outcome.ts';
import type { RunRequest } from '../lib/run/request.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { StageContext } from './context.ts';
import { notifyFailure, notifyPatches } from './notify/tell.ts';
import {
  FLOW,
  subjectOf,
  type ItemJob,
  type StageHandlers,
  type StageJob,
  type StageResult,
} from './flow.ts';

/** The parts of running an item in which the embedded driver and the queue's driver differ. */
export interface ItemDriver {
  request(run: string): Promise<RunRequest>;
  /** Takes the jobs that follow. Called when the outcome is recorded: the jobs are checked against it. */
  addJobs(stage: Stage, jobs: readonly ItemJob[]): Promise<void>;
  /** Whether an error ends the item. Otherwise it is tried again, and no outcome is recorded. */
  isOver(error: PanamaxError): boolean;
  /** Called if the outcome of a failed item could not be recorded. `runItem` throws its errors. */
  onUnrecorded(error: unknown): void;
  readonly handlers?: StageHandlers;
}

export type ItemResult = { readonly seconds: number } & (
  | { readonly status: 'done' | 'skipped'; readonly outcome: object }
  /** `retried`: the item is not over. `interrupted`: the signal was aborted. */
  | { readonly status: 'failed' | 'retried' | 'interrupted'; readonly error: PanamaxError }
  /** Another process runs the item. */
  | { readonly status: 'busy' }
);

/**
 * Runs the handler of an item, records the outcome, then hands on the jobs that follow. If the process dies in between,
 * the coordinator adds them.
 */
export async function runItem<S extends Stage>(
  stage: S,
  job: StageJob[S],
  context: StageContext,
  driver: ItemDriver,
): Promise<ItemResult> {
  const { store, signal, runExclusive = runAlways } = context;
  const { run, item } = job;
  const handle: (job: StageJob[S], request: RunRequest, context: StageContext) => Promise<StageResult> =
    (driver.handlers ?? FLOW)[stage];
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  try {
    let result: StageResult | undefined;
    await runExclusive(`${stage}.${item}`, async () => {
      const handled = await handle(job, await driver.request(run), context);
      const { status, outcome, next } = handled;
      const document = { status, ...outcome, seconds: elapsed() };
      await putOutcome(store, run, stage, item, document);
      if (next) await driver.addJobs(next.stage, next.jobs);
      result = handled;
    });
    if (!result) return { status: 'busy', seconds: elapsed() };
    await notifyPatches(context, job, result.outcome);
    return { status: result.status, outcome: result.outcome, seconds: elapsed() };
  } catch (thrown) {
    const error = toPanamaxError(thrown);
    const seconds = elapsed();
    if (signal.aborted) return { status: 'interrupted', error, seconds };
    if (!driver.isOver(error)) return { status: 'retried', error, seconds };
    const { kind, message } = error;
    const document = { status: 'failed', error: { kind, message }, ...subjectOf(job), seconds } as const;
    await putOutcome(store, run, stage, item, document).catch((unrecorded: unknown) =>
      driver.onUnrecorded(unrecorded),
    );
    await notifyFailure(context, stage, job, error);
    return { status: 'failed', error, seconds };
  }
}

async function runAlways(_: string, action: () => Promise<void>): Promise<boolean> {
  await action();
  return true;
}
