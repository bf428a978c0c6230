import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Names of the targets: the modules of `targets/`. */
export function fuzzTargets(): string[] {
  return readdirSync(join(import.meta.dirname, 'targets')).map((file) => basename(file, '.ts'));
}
