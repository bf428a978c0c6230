import { createHash } from 'node:crypto';
import { STAGES, type Stage } from '../run/stage.ts';
import type { Store } from '../store/objects/store.ts';

/**
 * Of a store's keys in Redis. Several stores may have one Redis: who works for one has nothing to do with the jobs of
 * another, whose runs it cannot find.
 */
export function prefixOf({ name }: Pick<Store, 'name'>): string {
  return `panamax:${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

/** One job per run: what leads it from stage to stage. */
export const RUN_QUEUE = 'run';

export type QueueName = Stage | typeof RUN_QUEUE;

export const QUEUES: readonly QueueName[] = [RUN_QUEUE, ...STAGES];

/** Of an item of a run, or of the run itself. BullMQ takes no `:` and nothing that is all digits. */
export function jobId(run: string, item?: string): string {
  return item === undefined ? `run.${run}` : `${run}.${item}`;
}
