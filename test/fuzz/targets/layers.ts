/** A layer in all parts of panamax: the signature, the encoders of all formats, and applying accept it, or none does. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatNames } from '../../../lib/delta/formats.ts';
import { PanamaxError, type ErrorKind } from '../../../lib/errors.ts';
import { runBackfill } from '../../support/backfill.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { applyPatch, makePatch } from '../../support/patch.ts';
import { createRandom } from '../../support/random.ts';
import type { Scope } from '../../support/scope.ts';
import { writeTar, type TarFixture } from '../../support/tar.ts';
import { repairTar } from '../repair.ts';
import type { FuzzTarget } from '../target.ts';

const BASE = writeTar([
  { path: 'a/' },
  { path: 'a/base', content: createRandom(1).text(20_000) },
  { path: 'l', type: 'symlink', linkPath: 'a' },
]);
const LONG = `${'directory/'.repeat(20)}file`;
const KINDS: readonly ErrorKind[] = ['bad-input', 'limit'];

const ENTRIES: readonly (readonly TarFixture[])[] = [
  [
    { path: 'a/b', content: 'text' },
    { path: 'a/c', type: 'hardlink', linkPath: 'a/b' },
    { path: 'l/d', content: 'x' },
    { path: 'a/.wh.base' },
  ],
  [
    { path: LONG, format: 'gnu', content: 'x' },
    { path: LONG, xattrs: { 'user.x': 'y' }, mtime: 1.5, content: 'abc' },
    { path: 'old', format: 'v7', content: 'x' },
  ],
  (['gnu', '0.0', '0.1', '1.0'] as const).map((format) => ({
    path: `s${format}`,
    content: Buffer.alloc(3000, 'content'),
    format: format === 'gnu' ? 'gnu' : 'pax',
    sparse: { format, runs: [{ offset: 0, size: 700 }] },
  })),
];

export async function open(scope: Scope): Promise<FuzzTarget> {
  const directory = await temporaryDirectory(scope);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  await writeLayout(source, [BASE, writeTar([...ENTRIES[0]!, ...ENTRIES[1]!])]);
  const formats = formatNames();
  const [patch, output] = [join(directory, 'patch'), join(directory, 'output')];
  let executions = 0;

  /** The error of the image's signature. */
  async function signed(): Promise<string | undefined> {
    await rm(join(directory, 'store'), { recursive: true, force: true });
    const { images } = await runBackfill(directory, ['target'], { sources: ['source'], top: 0 });
    const image = images.find(({ reference }) => reference === target)!;
    return image.status === 'failed' ? image.error.message : undefined;
  }

  /** The error of a patch from the source, applied. Formats take turns. */
  async function patched(expected: Buffer): Promise<PanamaxError | undefined> {
    const format = formats[executions++ % formats.length]!;
    try {
      await makePatch(source, target, patch, format);
    } catch (error) {
      if (error instanceof PanamaxError && KINDS.includes(error.kind)) return error;
      throw error;
    }
    await applyPatch(patch, source, `stream:${output}`);
    assert.ok((await readFile(output)).equals(expected), `another target as ${format}`);
    return undefined;
  }

  return {
    seeds: ENTRIES.map(writeTar),
    kinds: KINDS,
    words: ['.wh.', '.wh..wh..opq', '../', '\0', '11 path=abc\n', '19 GNU.sparse.major=1\n', '11 uid=-2\n'],
    repair: repairTar,
    async run(input) {
      await rm(target, { recursive: true, force: true });
      await writeLayout(target, [BASE, input], { compression: 'none' });
      const refusal = await signed();
      const error = await patched(Buffer.concat([BASE, input]));
      assert.equal(error !== undefined, refusal !== undefined, `signature: ${refusal}; patch: ${error}`);
      if (error) throw error;
    },
  };
}
