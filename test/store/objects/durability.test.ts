/** Durability of the directory store: the order of fsync and rename, seen by a library in front of libc. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../../support/directory.ts';
import { missing } from '../../support/programs.ts';

/** Appends a line for each call to the file that SYNC_LOG names. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *call, const char *from, const char *to) {
  char line[9000];
  int length = snprintf(line, sizeof line, "%s %s%s%s\\n", call, from, to ? " " : "", to ? to : "");
  const char *path = getenv("SYNC_LOG");
  int log = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
  if (log < 0) return;
  if (write(log, line, length) < 0) abort();
  close(log);
}

static void note_file(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  note("fsync", path, NULL);
}

int fsync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
  note_file(fd);
  return real(fd);
}

int fdatasync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  note_file(fd);
  return real(fd);
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  note("rename", from, to);
  return real(from, to);
}
`;

const WRITER = `
  const { openDirectoryStore } = await import(process.argv[1]);
  const [directory, file] = process.argv.slice(2);
  const store = await openDirectoryStore(directory);
  await store.put('new/folder/document', Buffer.from('document'));
  await store.putFile('new/file', file);`;

test(
  'flushes an object before its rename, and the directories of its name after it',
  { skip: missing('cc') },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const path = (name: string) => join(directory, name);
    await writeFile(path('shim.c'), SHIM);
    execFileSync('cc', ['-shared', '-fPIC', '-o', path('shim.so'), path('shim.c'), '-ldl']);
    await writeFile(path('file'), 'file');
    const module = import.meta.resolve('../../../lib/store/objects/directory.ts');
    const args = ['--input-type=module', '-e', WRITER, module, path('store'), path('file')];
    const env = { ...process.env, LD_PRELOAD: path('shim.so'), SYNC_LOG: path('log') };
    execFileSync(process.execPath, args, { env });

    const calls = (await readFile(path('log'), 'utf8')).trimEnd().split('\n');
    const flushes = (name: string) => calls.flatMap((call, i) => (call === `fsync ${path(name)}` ? [i] : []));
    for (const key of ['new/folder/document', 'new/file']) {
      const renamed = calls.findIndex(
        (call) => call.startsWith('rename ') && call.endsWith(path(`store/${key}`)),
      );
      assert.ok(renamed >= 0, `${key} is renamed into place: ${calls.join('; ')}`);
      const part = calls[renamed]!.split(' ')[1]!;
      const content = calls.indexOf(`fsync ${part}`);
      assert.ok(content >= 0 && content < renamed, `the content of ${key} is flushed first`);
      const parent = join('store', key, '..');
      assert.ok(
        flushes(parent).some((at) => at > renamed),
        `the directory of ${key} is flushed afterwards`,
      );
    }
    // the names of new directories are in their parents
    for (const parent of ['store', 'store/new'])
      assert.ok(flushes(parent).length > 0, `${parent} is flushed`);
  },
);
