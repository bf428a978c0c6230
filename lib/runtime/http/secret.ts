import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PanamaxError, toPanamaxError } from '../../errors.ts';

/** Header of a body's signature, as GitHub sends it with its webhooks. In lower case. */
export const SIGNATURE_HEADER = 'x-hub-signature-256';

const MIN_LENGTH = 16;

/** The value of the signature header: an HMAC of the body with SHA-256. */
export function signatureOf(secret: string, body: Uint8Array): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/**
 * Reads shared secrets, one a line.
 *
 * @throws PanamaxError `usage` for none or a short one; `not-found`, `io`
 */
export async function readSecretLines(path: string): Promise<readonly [string, ...string[]]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const [first, ...more] = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (first !== undefined && [first, ...more].every((secret) => secret.length >= MIN_LENGTH)) {
    return [first, ...more];
  }
  const expected = `lines of ${MIN_LENGTH} characters and more`;
  throw new PanamaxError('usage', 'no secret', { expected, where: path });
}
