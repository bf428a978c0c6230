import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FormatName } from '../../lib/delta/format.ts';
import { applyPatch } from '../support/patch.ts';
import type { Scope } from '../support/scope.ts';
import { repairBlobs } from './repair.ts';
import { smallPatch } from './samples.ts';
import type { FuzzTarget } from './target.ts';

/** Applies patches of a format to an image. A result has the digests of the target or is refused. */
export async function patchTarget(scope: Scope, format: FormatName): Promise<FuzzTarget> {
  const { directory, source, patch, expected } = await smallPatch(scope, format);
  const [path, output] = [join(directory, 'patch'), join(directory, 'output')];
  return {
    seeds: [patch],
    // a patch names its own source and target
    kinds: ['bad-patch', 'bad-input', 'wrong-source', 'limit'],
    repair: repairBlobs,
    async run(input) {
      await writeFile(path, input);
      await applyPatch(path, source, `stream:${output}`);
      assert.ok((await readFile(output)).equals(expected), 'another target');
    },
  };
}
