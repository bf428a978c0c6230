/** Signatures of patches: every fact that a site acts on is covered. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { patchStatement, verifyPatch, type PatchStatement } from '../../lib/store/descriptor.ts';
import { generateKeys, readSigningKeys, readVerifyKeys } from '../../lib/store/key.ts';
import { temporaryDirectory } from '../support/directory.ts';

const digest = (digit: string) => `sha256:${digit.repeat(64)}` as const;

const PATCH: PatchStatement = {
  format: 'xdelta',
  source: { manifest: digest('1'), config: digest('2'), layers: digest('3'), size: 1 },
  target: { manifest: digest('4'), config: digest('5'), layers: digest('6'), size: 2 },
  patch: { digest: digest('7'), size: 3 },
};

async function makeKey(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const { privateKey, publicKey } = generateKeys();
  const path = (name: string) => join(directory, name);
  await writeFile(path('key'), privateKey);
  await writeFile(path('pub'), publicKey);
  return { sign: await readSigningKeys([path('key')]), verify: await readVerifyKeys([path('pub')]) };
}

test('a signature of a patch is not valid when any single fact is another', async (t) => {
  const { sign, verify } = await makeKey(t);
  const signed = sign(patchStatement(PATCH));
  verifyPatch({ ...PATCH, ...signed }, verify, 'here');

  const others: PatchStatement[] = [{ ...PATCH, format: 'oci-delta' }];
  for (const side of ['source', 'target'] as const) {
    for (const field of ['manifest', 'config', 'layers'] as const) {
      others.push({ ...PATCH, [side]: { ...PATCH[side], [field]: digest('9') } });
    }
    others.push({ ...PATCH, [side]: { ...PATCH[side], size: 9 } });
  }
  others.push({ ...PATCH, patch: { ...PATCH.patch, digest: digest('9') } });
  others.push({ ...PATCH, patch: { ...PATCH.patch, size: 9 } });
  others.push({ ...PATCH, source: PATCH.target, target: PATCH.source });
  for (const other of others) {
    const check = () => verifyPatch({ ...other, ...signed }, verify, 'here');
    assert.throws(check, { kind: 'untrusted', message: /^the signature is not of what is said/ });
  }
});

test('a patch without a signature, or with one of another key, is not trusted', async (t) => {
  const { verify } = await makeKey(t);
  const { sign } = await makeKey(t);
  const untrusted = { kind: 'untrusted', message: /^not signed by a key that is trusted/ };
  const signed = sign(patchStatement(PATCH));
  assert.throws(() => verifyPatch(PATCH, verify, 'here'), untrusted);
  assert.throws(() => verifyPatch({ ...PATCH, ...signed }, verify, 'here'), untrusted);
});
