/**
 * Makes the root directory of the image for sites, which has nothing but one executable, its libraries, and directories for
 * data. Dockerfile.site takes it; without a base image:
 *
 *     node packaging/siteroot.ts DIR && tar -C DIR --owner=0 --group=0 -c . | docker import - panamax-site
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeExecutable } from './package.ts';

/** Of the image's user. */
const USER = 65_532;

/** @returns the path of the executable */
export async function makeSiteRoot(directory: string): Promise<string> {
  rmSync(directory, { recursive: true, force: true });
  for (const path of ['usr/bin', 'etc']) mkdirSync(join(directory, path), { recursive: true });
  // owners may be lost on the way into an image, modes are kept
  for (const path of ['tmp', 'state']) {
    mkdirSync(join(directory, path));
    chmodSync(join(directory, path), 0o1777);
  }
  const work = join(directory, 'work');
  const executable = join(directory, 'usr/bin/panamax');
  renameSync(await makeExecutable(process.arch, work, true), executable);
  rmSync(work, { recursive: true });
  for (const library of librariesOf(executable)) {
    mkdirSync(dirname(join(directory, library)), { recursive: true });
    copyFileSync(library, join(directory, library));
    chmodSync(join(directory, library), 0o755);
  }
  writeFileSync(join(directory, 'etc/passwd'), `panamax:x:${USER}:${USER}::/state:/usr/bin/panamax\n`);
  writeFileSync(join(directory, 'etc/group'), `panamax:x:${USER}:\n`);
  return executable;
}

/** The libraries of an executable and the program that loads them, as ldd finds them here. */
function librariesOf(executable: string): string[] {
  const lines = execFileSync('ldd', [executable], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => /(?:=> )?(\/\S+) \(/.exec(line)?.[1] ?? []);
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (target === undefined) throw new Error('node packaging/siteroot.ts DIR');
  const directory = resolve(target);
  const executable = await makeSiteRoot(directory);
  process.stdout.write(`${executable}: ${(statSync(executable).size / 1e6).toFixed(0)} MB\n`);
}
