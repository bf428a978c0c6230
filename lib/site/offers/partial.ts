import { hexOf, type Digest } from '../../digest.ts';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isOfDead, ownName } from '../../runtime/file.ts';

/** What is abandoned is kept so long for who comes back to it. In milliseconds. */
const KEPT = 7 * 24 * 3600 * 1000;
/** A download of another machine that has not grown for so long is no longer under way. */
const STALE = 10 * 60 * 1000;

/** A file that is filled bit by bit, over several starts, by one process at a time. */
export interface Partial {
  /** May hold some of its bytes, or be missing. */
  readonly path: string;
  /** Leaves it for the next start. */
  release(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Takes the unfinished file of a digest that nobody is at work on, or begins a new one: the file is claimed by
 * renaming it, which only one can do, under a name that tells whether its owner is alive. Two at once each have a
 * file of their own.
 */
export async function claimPartial(directory: string, digest: Digest): Promise<Partial> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const suffix = `sha256-${hexOf(digest)}.part`;
  const path = join(directory, `${ownName()}.${suffix}`);
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.part')) continue;
    const age = await ageOf(join(directory, name));
    if (age === undefined) continue;
    const isFree = name.startsWith('sha256-') || isOfDead(name) || age > STALE;
    if (!isFree) continue;
    // two claims of dead owners: the first will do
    if (name.endsWith(suffix) && (await ageOf(path)) === undefined) await moved(join(directory, name), path);
    else if (name.endsWith(suffix) || age > KEPT) await rm(join(directory, name), { force: true });
  }
  return {
    path,
    release: () => moved(path, join(directory, suffix)),
    remove: () => rm(path, { force: true }),
  };
}

/** In milliseconds. Undefined where there is no such file. */
async function ageOf(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info && Date.now() - info.mtimeMs;
}

async function moved(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    // another was faster, or nothing was begun
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}
