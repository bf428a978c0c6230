import { jobId, RUN_QUEUE } from '../lib/queue/names.ts';
import type { Queues } from '../lib/queue/queues.ts';
import { EXIT_CODES, type ErrorKind } from '../lib/errors.ts';
import { hasOutcome, putOutcome } from '../lib/run/record.ts';
import type { Failed } from '../lib/run/report.ts';
import type { Stage } from '../lib/run/stage.ts';
import type { Store } from '../lib/store/store.ts';
import { subjectOf, type ItemJob } from './flow.ts';

export interface Scheduled {
  readonly added: number;
  /** In the queue already. */
  readonly queued: number;
}

/**
 * Sees to it that each of a stage's items that are not over is in the queue, or over: one that the queue gave up
 * without a handler having had a say (its workers were killed, or the store could not be written) gets its outcome
 * here.
 */
export async function ensureQueued(
  stage: Stage,
  jobs: readonly ItemJob[],
  { store, queues }: { store: Store; queues: Queues },
): Promise<Scheduled> {
  const states = await queues.states(stage, jobs.map(idOf));
  const missing: ItemJob[] = [];
  let queued = 0;
  for (const [i, job] of jobs.entries()) {
    const state = states[i]!;
    if (state === 'unknown') missing.push(job);
    else if (state === 'queued') queued++;
    else if (!(await hasOutcome(store, job.run, stage, job.item))) {
      if (state === 'failed') {
        const error = readFailure((await queues.failureOf(stage, idOf(job))) ?? '');
        const outcome = { status: 'failed', error, ...subjectOf(job) } as const;
        await putOutcome(store, job.run, stage, job.item, outcome);
      } else {
        await queues.remove(stage, [idOf(job)]);
        missing.push(job);
      }
    }
  }
  await addJobs(stage, missing, queues);
  return { added: missing.length, queued };
}

export async function addJobs(stage: Stage, jobs: readonly ItemJob[], queues: Queues): Promise<void> {
  await queues.add(
    stage,
    jobs.map((job) => ({ id: idOf(job), data: job, ...(stage === 'delta' ? nearSource(job) : {}) })),
  );
}

/**
 * Pairs that share a source run near each other, so that a worker finds it unpacked: the source is the priority. It is
 * the same in all runs and whenever a pair is added, and as good as chance among sources, so that no run waits for
 * all of another.
 */
function nearSource({ item }: ItemJob): { priority: number } {
  // 20 bits of what the item begins with; BullMQ takes 21
  return { priority: 1 + Number.parseInt(item.slice(0, 5), 16) };
}

/** Queues a coordinator for a run. A second one waits for the first and then finds little to do. */
export async function addCoordinator(run: string, name: string, queues: Queues): Promise<void> {
  await queues.add(RUN_QUEUE, [{ id: jobId(run, name), data: { run, name } }]);
}

/** A failure as the queue keeps it: its kind, then its message. */
export function writeFailure({ kind, message }: Failed['error']): string {
  return `${kind}: ${message}`;
}

function readFailure(text: string): Failed['error'] {
  const colon = text.indexOf(': ');
  const kind = text.slice(0, Math.max(colon, 0));
  if (Object.hasOwn(EXIT_CODES, kind)) return { kind: kind as ErrorKind, message: text.slice(colon + 2) };
  return { kind: 'internal', message: text || 'the queue gave no reason' };
}

function idOf({ run, item }: ItemJob): string {
  return jobId(run, item);
}
