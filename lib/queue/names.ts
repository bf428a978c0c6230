import { createHash } from 'node:crypto';
import { STAGES, type Stage } from '../run/stage.ts';
import type { Store } from '../store/objects/store.ts';

/**
 * Prefix of a store's keys in Redis. Several stores may share one Redis; a worker sees only the jobs of its own store.
 */
export function prefixOf({ name }: Pick<Store, 'name'>): string {
  return `panamax:${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

/** Queue of the coordinators: one job per run leads it from stage to stage. */
export const RUN_QUEUE = 'run';

export type QueueName = Stage | typeof RUN_QUEUE;

export const QUEUES: readonly QueueName[] = [RUN_QUEUE, ...STAGES];

/** ID of the job of an item, or of a run itself. BullMQ refuses `:`, and IDs of digits only. */
export function jobId(run: string, item?: string): string {
  return item === undefined ? `run.${run}` : `${run}.${item}`;
}
