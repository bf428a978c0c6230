import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf, type Digest } from '../../digest.ts';
import { isOfDead, makeDirectories, ownName, statIfThere } from '../../runtime/file.ts';

/** Age at which an unfinished download is removed, in milliseconds. */
const KEPT = 7 * 24 * 3600 * 1000;
/** Age at which a download of another machine counts as abandoned, in milliseconds. */
const STALE = 10 * 60 * 1000;

/** The file of an unfinished download, claimed by this process. */
export interface Partial {
  /** The file may hold the first bytes, or be missing. */
  readonly path: string;
  /** Keeps the file for the next start. */
  release(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Claims the unfinished file of a digest, or a new one. A claim renames the file, which only one process can do, to a
 * name that tells whether its owner is alive. Two processes at once have a file each.
 */
export async function claimPartial(directory: string, digest: Digest): Promise<Partial> {
  await makeDirectories(directory, 0o700);
  const suffix = suffixOf(digest);
  const path = join(directory, `${ownName()}.${suffix}`);
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.part')) continue;
    const age = await ageOf(join(directory, name));
    if (age === undefined) continue;
    if (!isFree(name) && !isOfDead(name) && age <= STALE) continue;
    // of two files of dead owners the first is taken
    if (name.endsWith(suffix) && (await ageOf(path)) === undefined) await moved(join(directory, name), path);
    else if (name.endsWith(suffix) || age > KEPT) await rm(join(directory, name), { force: true });
  }
  return {
    path,
    release: () => moved(path, join(directory, suffix)),
    remove: () => rm(path, { force: true }),
  };
}

/** Removes unfinished downloads that nobody continues: those without a live owner, a week after their last byte. */
export async function sweepPartials(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (!name.endsWith('.part')) continue;
    const path = join(directory, name);
    if (((await ageOf(path)) ?? 0) > KEPT) await rm(path, { force: true });
  }
}

/** Removes the unfinished downloads of these digests that have no live owner: the site has the image without them. */
export async function dropPartials(directory: string, digests: readonly Digest[]): Promise<void> {
  for (const name of await namesIn(directory)) {
    const isNeedless = digests.some((digest) => name.endsWith(suffixOf(digest)));
    if (isNeedless && (isFree(name) || isOfDead(name))) await rm(join(directory, name), { force: true });
  }
}

const suffixOf = (digest: Digest) => `sha256-${hexOf(digest)}.part`;

/** Whether the owner has released the file. */
const isFree = (name: string) => name.startsWith('sha256-');

/** Names of files in a directory that may be missing. */
async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
}

/** In milliseconds. Undefined if the file is missing. */
async function ageOf(path: string): Promise<number | undefined> {
  const info = await statIfThere(path);
  return info && Date.now() - info.mtimeMs;
}

async function moved(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    // another process was faster, or nothing was downloaded
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}
