import { checkDocumentSize } from '../json.ts';
import { readFile } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { digestOfFile } from '../runtime/filedigest.ts';
import type { Verify } from './key.ts';
import { parsePatchDescriptor, verifyPatch, type ImageIdentity } from './descriptor.ts';
import { openPatch } from '../delta/patch.ts';

/** Path of the descriptor of a patch file, as in a store and as written by `diff --sign`. */
export function descriptorBeside(patch: string): string {
  return `${patch.replace(/\.tar$/, '')}.json`;
}

/**
 * Checks that a trusted key has signed a patch file: its bytes, its source and its target.
 *
 * @throws PanamaxError `untrusted`; `bad-patch` for another patch than the signed one; `bad-input`, `limit`
 */
export async function verifyPatchFile(
  patch: string,
  descriptor: string,
  verify: Verify,
  limits: Limits,
): Promise<void> {
  const bytes = await readFile(descriptor).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new PanamaxError('untrusted', 'nobody has signed the patch', {
      expected: descriptor,
      where: patch,
    });
  });
  checkDocumentSize(bytes.length, limits, descriptor);
  const pair = parsePatchDescriptor(bytes, descriptor);
  if (!pair.patch) throw new PanamaxError('bad-input', 'descriptor of no patch', { where: descriptor });
  verifyPatch({ ...pair, patch: pair.patch }, verify, descriptor);
  const digest = await digestOfFile(patch);
  const { source, target } = await openPatch(patch, limits);
  const found = `${digest} of ${named(target)} from image ${source.config}`;
  const expected = `${pair.patch.digest} of ${named(pair.target)} from image ${pair.source.config}`;
  if (found === expected) return;
  const facts = { expected, found, where: patch };
  throw new PanamaxError('bad-patch', 'patch is not the one that was signed', facts);
}

const named = ({ manifest, config }: Pick<ImageIdentity, 'manifest' | 'config'>) =>
  `manifest ${manifest}, image ${config}`;
