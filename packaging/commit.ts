import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Build } from '../bin/build.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** The version of the package and the commit, or `source` outside of a repository. */
export function findCommit(): Build {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  try {
    const commit = execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { version, commit: String(commit).trim() };
  } catch {
    return { version, commit: 'source' };
  }
}
