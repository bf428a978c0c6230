import { randomBytes } from 'node:crypto';
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
  await using file = await open(path, 'wx');
  for await (const chunk of chunks) await writeAll(file, chunk);
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
  return `${hostname()}.${process.pid}.${randomBytes(6).toString('hex')}`;
}

/** Removes what processes of this machine that are no longer alive left under names of `ownName`. */
export async function sweepDead(directory: string): Promise<void> {
  const prefix = `${hostname()}.`;
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split('.')[0]);
    if (Number.isInteger(pid) && !isAlive(pid))
      await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
