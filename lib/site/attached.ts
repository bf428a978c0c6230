import { PanamaxError } from '../errors.ts';
import { parseManifest } from '../image/oci/manifest.ts';
import type { Limits } from '../limits.ts';
import type { Attachments } from '../store/attached/attachments.ts';
import type { VerifyCosign } from '../store/attached/cosign.ts';
import type { ImageIdentity } from '../store/descriptor.ts';

/**
 * Checks that a trusted cosign key has signed an image, and that the image ID belongs to the signed manifest.
 *
 * @param where the place of the attachments
 * @throws PanamaxError `untrusted`
 */
export function verifyImage(
  target: ImageIdentity,
  attachments: Attachments | undefined,
  verify: VerifyCosign,
  where: string,
  limits: Limits,
): void {
  const { manifest, config: found } = target;
  if (attachments?.target !== manifest) {
    throw new PanamaxError('untrusted', `${where} has no cosign signature of the image`, {
      expected: manifest,
    });
  }
  verify(attachments, where);
  const { config } = parseManifest(Buffer.from(attachments.manifest), limits, where);
  if (config.digest === found) return;
  const facts = { expected: config.digest, found, where };
  throw new PanamaxError('untrusted', 'image ID of another image than the signed manifest', facts);
}
