import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
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
