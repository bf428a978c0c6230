import { createHash } from 'node:crypto';
import { findRequest } from '../../lib/run/record.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { enqueue } from '../enqueue.ts';
import { addEarlier } from '../question/earlier.ts';
import type { LookOptions as ResolveOptions } from '../question/resolve.ts';
import type { Push } from './look.ts';

/** Options of the runs, which are the same for all pushes. */
export type Settings = Omit<RunRequest, 'id' | 'started' | 'targets' | 'residents'>;

export interface QueueOptions extends ResolveOptions {
  readonly redis: string;
  readonly settings: Settings;
}

/**
 * Queues a run for an image that was pushed, with the releases before it as sources. A push that was queued before is
 * not queued again; jobs that Redis has lost are.
 *
 * @returns name of the run @throws PanamaxError the errors of `enqueue`
 */
export async function queuePush(push: Push, store: Store, options: QueueOptions): Promise<string> {
  const { redis, settings, ...resolve } = options;
  const { run, before } = await findRun(push, store);
  const plan = before ?? (await addEarlier(requestOf(push, run, settings), store, resolve)).plan;
  await enqueue(plan, store, { redis, retryFailed: false, dryRun: false });
  return run;
}

/** Another repository may have pushed the same image by the same tag: then the run has a longer name. */
async function findRun({ reference, run }: Push, store: Store) {
  const before = await findRequest(store, run);
  if (!before || before.targets[0] === reference) return { run, before };
  const other = `${run}-${createHash('sha256').update(reference).digest('hex').slice(0, 8)}`;
  return { run: other, before: await findRequest(store, other) };
}

function requestOf({ reference }: Push, id: string, settings: Settings): RunRequest {
  return {
    id,
    started: new Date().toISOString(),
    targets: [reference],
    residents: [{ images: [reference] }],
    ...settings,
  };
}
