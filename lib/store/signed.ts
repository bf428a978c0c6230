import { checkDocumentSize } from '../json.ts';
import { readFile } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { digestOfFile } from '../runtime/filedigest.ts';
import type { Verify } from './key.ts';
import { parseDescriptor, verifyPatch, type ImageName } from './descriptor.ts';
import { openPatch } from '../delta/patch.ts';

/** Where a patch's descriptor is, as stores have it and `diff --sign` writes it. */
export function descriptorBeside(patch: string): string {
  return `${patch.replace(/\.tar$/, '')}.json`;
}

/**
 * Checks that a key that is trusted has signed what a patch is: its bytes, and from what to what.
 *
 * @throws PanamaxError `untrusted`; `bad-patch` for a patch that is not the one that was signed
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
  const pair = parseDescriptor(bytes, descriptor);
  if (!pair.patch) throw new PanamaxError('bad-input', 'descriptor of no patch', { where: descriptor });
  verifyPatch({ ...pair, patch: pair.patch }, verify, descriptor);
  const digest = await digestOfFile(patch);
  const { source, target } = await openPatch(patch, limits);
  const said = `${digest} of ${named(target)} from image ${source.config}`;
  const signed = `${pair.patch.digest} of ${named(pair.target)} from image ${pair.source.config}`;
  if (said === signed) return;
  const facts = { expected: signed, found: said, where: patch };
  throw new PanamaxError('bad-patch', 'patch is not the one that was signed', facts);
}

const named = ({ manifest, config }: Pick<ImageName, 'manifest' | 'config'>) =>
  `manifest ${manifest}, image ${config}`;
