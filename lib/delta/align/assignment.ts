import { listLayers } from './listing.ts';
import { alignPairs } from './windows.ts';

/** Parts of an alignment that can run in other threads. */

const WORK = { list: listLayers, align: alignPairs };

export type Kind = keyof typeof WORK;
export type Task<K extends Kind> = Parameters<(typeof WORK)[K]>[0];
export type Result<K extends Kind> = Awaited<ReturnType<(typeof WORK)[K]>>;

export interface Assignment<K extends Kind = Kind> {
  readonly kind: K;
  readonly task: Task<K>;
}

export function runAssignment<K extends Kind>({ kind, task }: Assignment<K>): Result<K> | Promise<Result<K>> {
  return (WORK[kind] as (task: Task<K>) => Result<K> | Promise<Result<K>>)(task);
}
