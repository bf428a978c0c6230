import { STAGES, type Stage } from '../run/stage.ts';

/** Of the keys in Redis. */
export const PREFIX = 'panamax';

/** One job per run: what leads it from stage to stage. */
export const RUN_QUEUE = 'run';

export type QueueName = Stage | typeof RUN_QUEUE;

export const QUEUES: readonly QueueName[] = [RUN_QUEUE, ...STAGES];

/** Of an item of a run, or of the run itself. BullMQ takes no `:` and nothing that is all digits. */
export function jobId(run: string, item?: string): string {
  return item === undefined ? `run.${run}` : `${run}.${item}`;
}
