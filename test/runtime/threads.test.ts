import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const ENTRY =
  /threadEntry<typeof import\('\.\/(?<types>\w+)\.ts'\)>\(\s*new URL\('\.\/(?<module>\w+)\.ts', import\.meta\.url\),?\s*\)/g;
const FOLDERS = ['lib', 'bin', 'workers', 'producers', 'bench', 'test/support'];

/** Without the module that defines `threadEntry`. */
const sources = FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT })).filter(
  (path) => path !== 'lib/runtime/thread.ts',
);

/** Paths of the modules that are named as entries of threads, once for each time. */
const named = sources.flatMap((path) =>
  [...read(path).matchAll(ENTRY)].map(({ groups }) => {
    assert.equal(groups!['types'], groups!['module'], path);
    return join(dirname(path), `${groups!['module']}.ts`);
  }),
);

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

test('names the entry of each thread once, in the one form', () => {
  const calls = sources.flatMap((path) => read(path).match(/\bthreadEntry</g) ?? []);
  assert.equal(calls.length, named.length);
  // a single executable has threads as assets: only `thread.ts` finds them there
  for (const path of sources)
    assert.doesNotMatch(read(path), /import \{[^}]*\bWorker\b[^}]*\} from 'node:worker_threads'/, path);
  assert.equal(new Set(named).size, named.length);
});

test('names every module of a thread, each with a file name of its own', () => {
  const modules = sources.filter((path) => /\wthread\.ts$/.test(path));
  assert.deepEqual(named.toSorted(), modules.toSorted());
  for (const path of modules) assert.match(read(path), /^export (const handler =|function handler\()/m, path);
  assert.equal(new Set(modules.map((path) => basename(path))).size, modules.length);
});
