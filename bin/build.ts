import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The version of panamax, and the commit that it was built from. */
export interface Build {
  readonly version: string;
  readonly commit: string;
}

/** Set by the bundler (build/bundle.ts). */
declare const PANAMAX_BUILD: Build | undefined;

/** A build has `build.json` above this file; a checkout has only its package.json. */
export function findBuild(): Build {
  if (typeof PANAMAX_BUILD !== 'undefined') return PANAMAX_BUILD;
  for (let directory = import.meta.dirname; ; directory = dirname(directory)) {
    const build = readJson<Build>(join(directory, 'build.json'));
    if (build) return build;
    const found = readJson<{ version: string }>(join(directory, 'package.json'));
    if (found) return { version: found.version, commit: 'source' };
    if (directory === dirname(directory)) return { version: 'unknown', commit: 'unknown' };
  }
}

function readJson<Document>(path: string): Document | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Document;
  } catch {
    return undefined;
  }
}
