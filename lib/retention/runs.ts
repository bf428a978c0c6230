import { findRunState, listRuns } from '../run/runs.ts';
import { keys } from '../store/keys.ts';
import type { Store } from '../store/objects/store.ts';

/** A run whose records are removed. The patches it made stay. */
export interface OldRun {
  readonly run: string;
  /** Keys in the order of removal. The records that mark the run as over come last. */
  readonly keys: readonly string[];
}

/**
 * Finds runs that ended, or showed their last activity, longer ago than an age.
 *
 * @param age in milliseconds
 * @param signal stops between two runs
 */
export async function findOldRuns(store: Store, age: number, signal: AbortSignal): Promise<OldRun[]> {
  const old: OldRun[] = [];
  for await (const run of listRuns(store)) {
    signal.throwIfAborted();
    const state = await findRunState(store, run);
    if (state && (state.state === 'active' || Date.now() - state.since.getTime() < age)) continue;
    const found: string[] = [];
    for await (const key of store.list(keys.run(run, ''))) found.push(key);
    // without a state these are remains of a killed removal, or a run that is just beginning
    if (!state && (await isAnyYoung(store, found, age))) continue;
    old.push({ run, keys: found.toSorted((a, b) => rankOf(a) - rankOf(b)) });
  }
  return old;
}

async function isAnyYoung(store: Store, found: readonly string[], age: number): Promise<boolean> {
  for (const key of found) {
    const info = await store.stat(key);
    if (info && Date.now() - info.modified.getTime() < age) return true;
  }
  return false;
}

function rankOf(key: string): number {
  return key.endsWith('/report.json') ? 2 : key.endsWith('/run.json') ? 1 : 0;
}
