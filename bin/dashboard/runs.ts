import { PanamaxError } from '../../lib/errors.ts';
import { findRunState, listRuns, type RunState } from '../../lib/run/runs.ts';
import { createStatusReader, type RunStatus } from '../../lib/run/status.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import { readPatchRows, type PatchRow } from '../report/data.ts';

/** A run of the list. */
export interface RunRow extends RunState {
  readonly id: string;
  /** Undefined for a run whose record is damaged, and for active ones beyond the number that is followed. */
  readonly status?: RunStatus | undefined;
}

export interface Runs {
  /** The latest first. */
  readonly runs: readonly RunRow[];
  /** Runs beyond the number that is shown. */
  readonly older: number;
  /** Patches of the last runs that are over, the latest first; those of pairs that were made again once. */
  readonly patches: readonly PatchRow[];
}

/** Runs in the list. */
const MAX_RUNS = 500;
/** Runs under way whose progress is read. */
const MAX_FOLLOWED = 20;
/** Runs whose patches are shown, patches of each, and of all. */
const MAX_READ = 50;
const MAX_ROWS = 1000;
const MAX_PATCHES = 5000;

/** Reads a store's runs again and again: a call reads only the documents that may have changed. */
export function createRunReader(store: Store): () => Promise<Runs> {
  const statuses = new Map<string, RunStatus>();
  const followed = new Map<string, () => Promise<RunStatus>>();
  const pages = new Map<string, readonly PatchRow[]>();

  async function statusOf({ id, state, since }: RunRow): Promise<RunStatus> {
    // the report of a run is written again when its failures are retried
    const key = `${id} ${since.getTime()}`;
    const known = statuses.get(key);
    if (known) return known;
    const read = followed.get(id) ?? (await createStatusReader(store, id));
    const status = await read();
    if (state === 'over') {
      statuses.set(key, status);
      followed.delete(id);
    } else followed.set(id, read);
    return status;
  }

  async function patchesOf({ id, since }: RunRow): Promise<readonly PatchRow[]> {
    const key = `${id} ${since.getTime()}`;
    const rows = pages.get(key) ?? (await readPatchRows(store, id, MAX_ROWS));
    pages.set(key, rows);
    return rows;
  }

  return async () => {
    const found: RunRow[] = [];
    for await (const id of listRuns(store)) {
      const state = await findRunState(store, id);
      if (state) found.push({ id, ...state });
    }
    found.sort((a, b) => b.since.getTime() - a.since.getTime());
    const shown = found.slice(0, MAX_RUNS);
    const open = new Set(shown.filter(({ state }) => state !== 'over').slice(0, MAX_FOLLOWED));
    const runs: RunRow[] = [];
    for (const row of shown) {
      const isRead = row.state === 'over' || open.has(row);
      runs.push({ ...row, status: isRead ? await statusOf(row).catch(unlessGone) : undefined });
    }
    const patches = new Map<string, PatchRow>();
    for (const row of shown.filter(({ state }) => state === 'over').slice(0, MAX_READ)) {
      for (const patch of (await patchesOf(row).catch(unlessGone)) ?? []) {
        const key = `${patch.target}\n${patch.source}\n${patch.format}`;
        if (patches.size < MAX_PATCHES && !patches.has(key)) patches.set(key, patch);
      }
    }
    forget(statuses, shown);
    forget(pages, shown);
    return { runs, older: found.length - shown.length, patches: [...patches.values()] };
  };
}

/** Removes the entries of runs that are not in the list any more. */
function forget(known: Map<string, unknown>, shown: readonly RunRow[]): void {
  const keys = new Set(shown.map(({ id, since }) => `${id} ${since.getTime()}`));
  for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
}

/** A run that was removed meanwhile, or is damaged, does not hide the others. */
function unlessGone(error: unknown): undefined {
  if (!(error instanceof PanamaxError && /^(?:not-found|bad-input)$/.test(error.kind))) throw error;
}
