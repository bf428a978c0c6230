import { randomBytes } from 'node:crypto';
import { readFileSync, type Stats } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { PanamaxError, toPanamaxError } from '../errors.ts';

/**
 * Replaces a file atomically: writes a temporary file beside `path`, flushes it to disk, then renames it. At any time
 * `path` has either its old content or all of the new. After an error no temporary file is left. Those of killed
 * processes are removed first.
 *
 * @param fill writes the temporary file, whose path it is given
 */
export async function replaceFile(path: string, fill: (part: string) => Promise<void>): Promise<void> {
  await sweepParts(dirname(path));
  const part = partIn(dirname(path));
  try {
    await fill(part);
    await flush(part);
    await rename(part, path);
    await flush(dirname(path));
  } finally {
    await rm(part, { force: true });
  }
}

/** Writes chunks to a new file. Each is written before the next is requested, so they may be views of one buffer. */
export async function writeChunks(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of writing(path, chunks));
}

/** Like `writeChunks`, and yields each chunk after it has been written. */
export async function* writing(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  await using file = await open(path, 'wx');
  for await (const chunk of chunks) {
    await writeAll(file, chunk);
    yield chunk;
  }
}

export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    done += (await file.write(chunk, done)).bytesWritten;
  }
}

/** Flushes a file or directory to disk, so that it survives a loss of power. */
export async function flush(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}

/** A unique file name that holds the machine, the process ID and the process's start time. */
export function ownName(): string {
  return `${hostname()}.${process.pid}-${startOf(process.pid) ?? 0}.${randomBytes(6).toString('hex')}`;
}

/** Path of a new temporary file or directory in a directory. */
export function partIn(directory: string): string {
  return join(directory, `.${ownName()}.part`);
}

const PART = /^\.(.+\.\d+-\d+\.[0-9a-f]{12})\.part$/;
/** Age at which a temporary file of another machine counts as abandoned, in milliseconds. */
const ABANDONED = 24 * 3600_000;

/**
 * Removes files and directories that were named by `partIn` in processes of this machine that have ended, and in any
 * process if they were last changed a day ago: a container has another host name at each start.
 */
export async function sweepParts(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const own = PART.exec(name)?.[1];
    if (own === undefined) continue;
    const path = join(directory, name);
    if (isOfDead(own) || (await ageOf(path)) > ABANDONED) await rm(path, { recursive: true, force: true });
  }
}

/** Time since the last change, in milliseconds; 0 for a missing file. */
async function ageOf(path: string): Promise<number> {
  const info = await statIfThere(path);
  return info ? Date.now() - info.mtimeMs : 0;
}

/** Undefined for a missing file. @throws PanamaxError `io` for any other error, such as EIO and EACCES */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    throw toPanamaxError(error, path);
  }
}

/** Whether a system error says that a file does not exist. No file has a NUL in its path. */
export function isMissingFile(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ERR_INVALID_ARG_VALUE';
}

const MAX_ATTEMPTS = 5;

/**
 * Makes a directory and its parents, as `mkdir` of Node with `recursive`, which never ends where a file system refuses
 * directories with ENOENT, as proc(5) does.
 *
 * @returns the first directory that was made; undefined if all were there
 * @throws PanamaxError `not-found` where a file is in the way; `io` for other causes
 */
export async function makeDirectories(path: string, mode?: number): Promise<string | undefined> {
  const parent = dirname(path);
  let first: string | undefined;
  // another process may make the same directories, or remove empty ones
  for (let attempt = 0; ; attempt++) {
    try {
      await mkdir(path, mode);
      return first ?? path;
    } catch (error) {
      if (await isDirectory(path)) return first;
      const isParentMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && parent !== path;
      if (!isParentMissing || attempt === MAX_ATTEMPTS) throw unmade(path, error);
      first = (await makeDirectories(parent, mode)) ?? first;
    }
  }
}

function unmade(path: string, cause: unknown): PanamaxError {
  const { code } = cause as NodeJS.ErrnoException;
  const kind = code === 'ENOTDIR' || code === 'EEXIST' ? 'not-found' : 'io';
  const facts = { found: code ?? 'an error', where: path };
  return new PanamaxError(kind, 'directory cannot be made', facts, { cause });
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

/** Removes files that were named by `ownName` in processes of this machine that have ended. */
export async function sweepDead(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (isOfDead(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Whether a name was made by `ownName` in a process of this machine that has ended. */
export function isOfDead(name: string): boolean {
  const prefix = `${hostname()}.`;
  if (!name.startsWith(prefix)) return false;
  const [pid, start] = name.slice(prefix.length).split(/[-.]/);
  return !isRunning(Number(pid), Number(start));
}

/** Compares start times, too: process IDs are reused, in a restarted container even by the same program. */
function isRunning(pid: number, start: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (startOf(pid) ?? start) === start;
}

/** The start of a process in clock ticks since boot (proc(5), stat, field 22); undefined without /proc. */
function startOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}
