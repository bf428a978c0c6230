import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Writes a file under a name of its own beside `path`, flushes it to disk and renames it: under `path` there is
 * either what was there before or all of the new. After an error nothing is left.
 */
export async function replaceFile(path: string, fill: (part: string) => Promise<void>): Promise<void> {
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    await fill(part);
    await flush(part);
    await rename(part, path);
    await flush(dirname(path));
  } finally {
    await rm(part, { force: true });
  }
}

/**
 * Writes pieces to a new file, each before the next is asked for: they may be views of a buffer that is used
 * again.
 */
export async function writeChunks(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of writing(path, chunks));
}

/** Yields what it is given once that is in a new file. */
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

/** Makes what a file or directory holds survive a loss of power. */
export async function flush(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}

/** A new name that tells which process on which machine it belongs to. */
export function ownName(): string {
  return `${hostname()}.${process.pid}-${startOf(process.pid) ?? 0}.${randomBytes(6).toString('hex')}`;
}

/** Removes what processes of this machine that are no longer alive left under names of `ownName`. */
export async function sweepDead(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (isOfDead(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Whether a name of `ownName` belongs to a process of this machine that is no longer alive. */
export function isOfDead(name: string): boolean {
  const prefix = `${hostname()}.`;
  if (!name.startsWith(prefix)) return false;
  const [pid, start] = name.slice(prefix.length).split(/[-.]/);
  return !isRunning(Number(pid), Number(start));
}

/** A number may have gone to another process since: in a container that restarts, to the same as before. */
function isRunning(pid: number, start: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (startOf(pid) ?? start) === start;
}

/** When a process started, in clock ticks since boot (proc(5), stat, field 22); undefined where there is no /proc. */
function startOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}
