import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
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

/** Secrets that callers show. Comparisons take the same time for each value of the same length. */
export interface Secrets {
  /** Whether the head of a request shows a secret; undefined if its body is signed instead. */
  allowHead(headers: IncomingHttpHeaders): boolean | undefined;
  /** Whether the body has the signature that the head gives. */
  allowBody(headers: IncomingHttpHeaders, body: Buffer): boolean;
}

/** Reads secrets, one a line: a second one serves while the first is replaced. @throws PanamaxError */
export async function readSecrets(path: string): Promise<Secrets> {
  return createSecrets(await readSecretLines(path));
}

export function createSecrets(secrets: readonly string[]): Secrets {
  return {
    allowHead(headers) {
      if (headers.authorization !== undefined) {
        const given = secretOf(headers.authorization);
        return isAny(secrets, (secret) => isEqual(secret, given));
      }
      return headers[SIGNATURE_HEADER] === undefined ? false : undefined;
    },
    allowBody(headers, body) {
      const given = String(headers[SIGNATURE_HEADER] ?? '');
      return isAny(secrets, (secret) => isEqual(signatureOf(secret, body), given));
    },
  };
}

/** The secret in an Authorization header: a bearer token, the password of Basic, or the header itself (Harbor). */
function secretOf(header: string): string {
  const [, scheme, rest] = /^(bearer|basic) +(.+)$/i.exec(header) ?? [];
  if (rest === undefined) return header;
  if (scheme!.toLowerCase() === 'bearer') return rest;
  const account = Buffer.from(rest, 'base64').toString();
  return account.slice(account.indexOf(':') + 1);
}

/** Looks at all secrets, so that the time does not tell which one fits. */
function isAny(secrets: readonly string[], fits: (secret: string) => boolean): boolean {
  return secrets.reduce((isFound, secret) => fits(secret) || isFound, false);
}

function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(hashOf(a), hashOf(b));
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
