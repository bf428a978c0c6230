import { mkdir, rm } from 'node:fs/promises';
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
