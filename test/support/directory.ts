import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from './layout.ts';
import { atEnd, type Scope } from './scope.ts';

/** An empty directory, removed with the scope. */
export async function temporaryDirectory(scope: Scope): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'panamax-test-'));
  atEnd(scope, () => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Every path below a directory, sorted, with the digests of files. Empty if the directory does not exist. */
export async function snapshot(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const items = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const item of items) {
    const path = join(item.parentPath, item.name);
    const name = path.slice(directory.length + 1);
    found[name] = item.isFile() ? digestOf(await readFile(path)) : 'directory';
  }
  return Object.fromEntries(Object.entries(found).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
