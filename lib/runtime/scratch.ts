import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { toPanamaxError, PanamaxError } from '../errors.ts';
import { ownName, sweepDead } from './file.ts';

export interface Scratch {
  readonly path: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a directory of this process's own below `parent`, removed when it goes out of scope. What processes that
 * were killed left there is swept first.
 */
export async function createScratch(parent: string): Promise<Scratch> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  await sweepDead(parent);
  const path = join(parent, ownName());
  await mkdir(path, { mode: 0o700 });
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/** How much may be kept below a directory by default, in bytes: most of what is free now. */
export async function defaultScratchSize(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor(bavail * bsize * 0.8);
}

/**
 * What an error is called once it is known which files on scratch it needed: that one of them has been removed
 * meanwhile says nothing of what was asked for, and may go well another time. `io`, then.
 */
export async function scratchError(error: unknown, needed: readonly string[]): Promise<unknown> {
  const known = toPanamaxError(error);
  if (known.kind !== 'not-found' && known.kind !== 'internal') return error;
  for (const path of needed) {
    // threads tell of a missing file by its message alone
    const isNamed = known.message.startsWith('ENOENT') && known.message.includes(path);
    if (!isNamed && (await isThere(path))) continue;
    return new PanamaxError('io', 'a file on scratch is gone', { where: path }, { cause: error });
  }
  return error;
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
