/** Completes a build in dist/ for the npm package: the commit, the manual pages, completion scripts. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findCommit } from './commit.ts';

const DIST = resolve(import.meta.dirname, '../dist');
const COMMAND = join(DIST, 'bin', 'panamax.js');

writeFileSync(join(DIST, 'build.json'), `${JSON.stringify(findCommit())}\n`);
chmodSync(COMMAND, 0o755);
execFileSync(process.execPath, [COMMAND, 'man', '--output', join(DIST, 'man')]);
mkdirSync(join(DIST, 'completion'), { recursive: true });
for (const shell of ['bash', 'zsh', 'fish']) {
  writeFileSync(
    join(DIST, 'completion', `panamax.${shell}`),
    execFileSync(process.execPath, [COMMAND, 'completion', shell]),
  );
}
