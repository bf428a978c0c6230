import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener } from 'node:http';
import { PanamaxError, toPanamaxError } from '../errors.ts';

/** For the header WWW-Authenticate. */
export const CHALLENGE = 'Basic realm="panamax mirror"';

/** Decides whether a request comes from a known user (RFC 7617). */
export type IsKnown = (request: IncomingMessage) => boolean;

/**
 * Reads accounts: a line USER:PASSWORD for each; empty lines and those that begin with # are skipped.
 *
 * @throws PanamaxError `usage`, `not-found`, `io`
 */
export async function readAccounts(path: string): Promise<IsKnown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, path);
  });
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  if (lines.length === 0 || !lines.every((line) => /^[^:]+:.+$/.test(line))) {
    throw new PanamaxError('usage', 'no accounts', { expected: 'lines USER:PASSWORD', where: path });
  }
  const known = lines.map(hashOf);
  return ({ headers }) => {
    const [, encoded] = /^basic +([\w+/=-]+)$/i.exec(headers.authorization ?? '') ?? [];
    if (encoded === undefined) return false;
    const found = hashOf(Buffer.from(encoded, 'base64').toString());
    // compares with every account, so that the time tells nothing
    return known.reduce((isFound, hash) => timingSafeEqual(hash, found) || isFound, false);
  };
}

/** Answers requests of unknown users with status 401. */
export function requireAccount(isKnown: IsKnown, listener: RequestListener): RequestListener {
  return (request, response) => {
    if (isKnown(request)) return listener(request, response);
    const document = {
      errors: [{ code: 'UNAUTHORIZED', message: 'this mirror wants a user and a password' }],
    };
    response.writeHead(401, {
      'content-type': 'application/json',
      'www-authenticate': CHALLENGE,
    });
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(document));
  };
}

function hashOf(account: string): Buffer {
  return createHash('sha256').update(account).digest();
}
