/** Runs a backfill in the process of the test. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { createForest, createMemoryStorage } from '../../lib/pairing/forest.ts';
import type { RunReport } from '../../lib/run/report.ts';
import { createLayerCache } from '../../workers/resources/layercache.ts';
import { createMemory } from '../../workers/resources/memory.ts';
import { openDirectoryStore } from '../../lib/store/objects/directory.ts';
import { backfill, type BackfillRequest } from '../../producers/backfill.ts';
import { snapshot, temporaryDirectory } from './directory.ts';
import type { Scope } from './scope.ts';
import { writeRelease } from './releases.ts';

/** Images of two families. */
export const RELEASES = ['a1', 'a2', 'a3', 'b1', 'b2'] as const;

/** Makes a directory with the images. */
export async function makeReleases(scope: Scope, names: readonly string[] = RELEASES): Promise<string> {
  const directory = await temporaryDirectory(scope);
  for (const name of names) await writeRelease(join(directory, name), name.charCodeAt(0), Number(name[1]));
  return directory;
}

/** Store, scratch directory and image references are relative to `directory`. */
export async function runBackfill(
  directory: string,
  targets: readonly string[],
  {
    store = 'store',
    scratchSize = 1e9,
    sources = targets,
    together,
    ...plan
  }: Partial<BackfillRequest> & {
    store?: string;
    scratchSize?: number;
    sources?: readonly string[];
    together?: true;
  } = {},
): Promise<RunReport> {
  const scratch = join(directory, 'scratch');
  await mkdir(scratch, { recursive: true });
  await using layers = createLayerCache(join(scratch, 'layers'), scratchSize);
  const context = {
    store: await openDirectoryStore(join(directory, store)),
    log: { info() {}, warn() {} },
    signal: new AbortController().signal,
    limits: DEFAULT_LIMITS,
    scratch,
    layers,
    memory: createMemory(8 * 1024 ** 3),
    similar: createForest(createMemoryStorage()),
  };
  const inDirectory = (names: readonly string[]) => names.map((name) => join(directory, name));
  return await backfill(
    {
      top: 1,
      formats: ['xdelta'],
      effort: 'fast',
      concurrency: 2,
      residents: [{ images: inDirectory(sources), ...(together && { together }) }],
      ...plan,
      targets: inDirectory(targets),
    },
    context,
  );
}

/** Digests of all objects except the records of runs, which contain times. */
export async function objectsOf(directory: string, store = 'store'): Promise<Record<string, string>> {
  const all = Object.entries(await snapshot(join(directory, store)));
  return Object.fromEntries(all.filter(([key]) => !key.startsWith('runs') && key !== '.tmp'));
}
