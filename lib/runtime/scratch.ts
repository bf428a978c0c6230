import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { toPanamaxError, PanamaxError } from '../errors.ts';
import { makeDirectories, ownName, statIfThere, sweepDead } from './file.ts';

export interface Scratch {
  readonly path: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Creates a directory for this process below `parent`. Disposing removes it. Directories of processes that were killed
 * are removed first.
 */
export async function createScratch(parent: string): Promise<Scratch> {
  await makeDirectories(parent, 0o700);
  await sweepDead(parent);
  const path = join(parent, ownName());
  await mkdir(path, { mode: 0o700 });
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/** Removes directories of processes that were killed. `parent` may be missing. */
export async function sweepScratch(parent: string): Promise<void> {
  if (await isThere(parent)) await sweepDead(parent);
}

/** Default limit for files below a directory, in bytes: 80 % of the free space. */
export async function defaultScratchSize(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor(bavail * bsize * 0.8);
}

/**
 * Converts an error to kind `io` if one of the scratch files that it needed has been removed meanwhile: then
 * `not-found` would blame the input, and a retry may succeed.
 *
 * @param needed paths of the scratch files
 * @returns the given error if all files exist
 */
export async function scratchError(error: unknown, needed: readonly string[]): Promise<unknown> {
  const known = toPanamaxError(error);
  if (known.kind !== 'not-found' && known.kind !== 'internal') return error;
  for (const path of needed) {
    // errors that come out of threads have no code
    const isNamed = known.message.startsWith('ENOENT') && known.message.includes(path);
    if (!isNamed && (await isThere(path))) continue;
    return new PanamaxError('io', 'a file on scratch is gone', { where: path }, { cause: error });
  }
  return error;
}

export async function isThere(path: string): Promise<boolean> {
  return (await statIfThere(path)) !== undefined;
}
