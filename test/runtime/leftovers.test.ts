/** Temporary files of killed processes, and directories that cannot be made. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeDirectories, partIn, replaceFile } from '../../lib/runtime/file.ts';
import { sweepPartials } from '../../lib/site/offers/partial.ts';
import { temporaryDirectory } from '../support/directory.ts';

const FILE = fileURLToPath(new URL('../../lib/runtime/file.ts', import.meta.url));

test('the next writer removes temporary files of killed processes, and no others', async (t) => {
  const directory = await temporaryDirectory(t);
  const output = join(directory, 'output');
  const script = `
    const { replaceFile } = await import(${JSON.stringify(FILE)});
    const { writeFile } = await import('node:fs/promises');
    await replaceFile(${JSON.stringify(output)}, async (part) => {
      await writeFile(part, 'half');
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => setInterval(() => {}, 1000));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  await once(child, 'exit');
  assert.equal((await readdir(directory)).length, 1);

  const stranger = join(directory, '.mine.part');
  const living = partIn(directory);
  const abandoned = join(directory, '.elsewhere.7-7.0123456789ab.part');
  const fresh = join(directory, '.elsewhere.8-8.0123456789ab.part');
  for (const path of [stranger, living, abandoned, fresh]) await writeFile(path, '');
  await utimes(abandoned, 1, 1);
  await utimes(stranger, 1, 1);
  await replaceFile(output, (part) => writeFile(part, 'whole'));
  const left = [stranger, living, fresh, output].map((path) => path.slice(directory.length + 1));
  assert.deepEqual((await readdir(directory)).toSorted(), left.toSorted());
});

test('unfinished downloads are removed a week after their last byte', async (t) => {
  const directory = await temporaryDirectory(t);
  await sweepPartials(join(directory, 'none'));
  const names = ['sha256-0.part', 'elsewhere.7-7.0123456789ab.sha256-1.part', 'sha256-2.part'];
  for (const name of names) await writeFile(join(directory, name), '');
  for (const name of names.slice(0, 2)) await utimes(join(directory, name), 1, 1);
  await sweepPartials(directory);
  assert.deepEqual(await readdir(directory), names.slice(2));
});

test('directories are made with their parents', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'a', 'b', 'c');
  assert.equal(await makeDirectories(path), join(directory, 'a'));
  assert.equal(await makeDirectories(path), undefined);
  await mkdir(join(directory, 'd'));
  assert.equal(await makeDirectories(join(directory, 'd', 'e')), join(directory, 'd', 'e'));
});

test('a directory that cannot be made is an error at once', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'file');
  await writeFile(file, '');
  await assert.rejects(makeDirectories(join(file, 'x')), { kind: 'not-found', message: /ENOTDIR/ });
  await assert.rejects(makeDirectories(file), { kind: 'not-found', message: /EEXIST/ });
  if (existsSync('/proc/self')) {
    await assert.rejects(makeDirectories('/proc/x/y'), { kind: 'io', message: /ENOENT.*\/proc\/x/ });
  }
});
