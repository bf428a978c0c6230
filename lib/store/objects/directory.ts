import { createReadStream } from 'node:fs';
import { copyFile, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { PanamaxError, toPanamaxError } from '../../errors.ts';
import { flush, makeDirectories, ownName, statIfThere, sweepDead } from '../../runtime/file.ts';
import {
  checkKey,
  checkPrefix,
  MAX_DOCUMENT_SIZE,
  tooLarge,
  type ObjectInfo,
  type Store,
  type StoreReader,
} from './store.ts';

const TEMPORARY = '.tmp';

/**
 * Opens a store in a directory and creates the directory if it is missing. An object is written to a temporary file,
 * flushed to disk and renamed. Temporary files of dead processes are removed here.
 *
 * @throws PanamaxError `io` for a directory that cannot be used
 */
export async function openDirectoryStore(directory: string): Promise<Store> {
  const temporary = join(directory, TEMPORARY);
  const pathOf = (key: string) => pathIn(directory, key);
  await inStore(directory, async () => {
    await makeDirectories(temporary);
    await sweepDead(temporary);
  });

  async function write(key: string, fill: (path: string) => Promise<void>): Promise<void> {
    const path = pathOf(key);
    const part = join(temporary, ownName());
    await inStore(`${directory}/${key}`, async () => {
      try {
        await fill(part);
        await flush(part);
        await makeDirectory(dirname(path));
        await rename(part, path);
        await flush(dirname(path));
      } finally {
        await rm(part, { force: true });
      }
    });
  }

  return {
    ...readDirectory(directory),
    name: resolve(directory),
    stat: (key) => statFile(pathOf(key)),
    put: (key, bytes) =>
      write(key, async (path) => {
        await using file = await open(path, 'wx');
        await file.writeFile(bytes);
      }),
    putFile: (key, source) => write(key, (path) => copyFile(source, path)),
    remove: (key) => inStore(directory, () => rm(pathOf(key), { force: true })),
    async *list(prefix, after = '') {
      checkPrefix(prefix);
      yield* keysBelow(directory, prefix.slice(0, -1), after);
    },
  };
}

/**
 * Opens a directory for reading, also on a read-only disk.
 *
 * @throws PanamaxError `not-found` for a missing directory
 */
export async function openDirectoryReader(directory: string): Promise<StoreReader> {
  const info = await statIfThere(directory);
  if (!info?.isDirectory()) throw new PanamaxError('not-found', 'no such store', { where: directory });
  return readDirectory(directory);
}

function readDirectory(directory: string): StoreReader {
  return {
    where: directory,
    async get(key) {
      const path = pathIn(directory, key);
      return inStore(path, async () => {
        const info = await statFile(path);
        if (!info) return undefined;
        if (info.size > MAX_DOCUMENT_SIZE) throw tooLarge(info.size, path);
        return unlessMissing(() => readFile(path));
      });
    },
    async open(key, offset = 0) {
      const path = pathIn(directory, key);
      if (!(await statFile(path))) throw new PanamaxError('not-found', 'no such object', { where: path });
      return createReadStream(path, { start: offset, highWaterMark: 256 * 1024 });
    },
  };
}

function pathIn(directory: string, key: string): string {
  checkKey(key);
  return join(directory, key);
}

async function inStore<T>(where: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const { kind, message } = toPanamaxError(error);
    if (error instanceof PanamaxError && kind !== 'not-found') throw error;
    // the store creates missing directories, so a missing one means that the store has failed
    throw new PanamaxError(
      kind === 'not-found' ? 'io' : kind,
      message,
      { where: `store ${where}` },
      { cause: error },
    );
  }
}

async function unlessMissing<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function statFile(path: string): Promise<ObjectInfo | undefined> {
  return inStore(path, async () => {
    const info = await unlessMissing(() => stat(path));
    return info?.isFile() ? { size: info.size, modified: info.mtime } : undefined;
  });
}

/** Creates a directory and its parents, and flushes the parents, which hold the names of the new directories. */
async function makeDirectory(path: string): Promise<void> {
  const first = await makeDirectories(path);
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await flush(dirname(made));
}

async function* keysBelow(root: string, below: string, after: string): AsyncGenerator<string> {
  const read = () => unlessMissing(() => readdir(join(root, below), { withFileTypes: true }));
  const items = (await inStore(`${root}/${below}`, read)) ?? [];
  // the order of object stores: the keys below a directory start with its name and a slash
  const named = items.map((item) => ({ item, key: item.isDirectory() ? `${item.name}/` : item.name }));
  named.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { item } of named) {
    const key = `${below}/${item.name}`;
    if (item.isDirectory()) {
      const beginning = `${key}/`;
      if (beginning > after || after.startsWith(beginning)) yield* keysBelow(root, key, after);
    } else if (item.isFile() && key > after) yield key;
  }
}
