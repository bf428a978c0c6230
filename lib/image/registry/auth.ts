import { PanamaxError } from '../../errors.ts';
import { asRecord, parseDocument } from '../../json.ts';
import type { Send } from '../../runtime/http/client.ts';
import type { Challenge } from './challenge.ts';
import type { Credentials } from './settings.ts';
import { refusalOf } from './error.ts';

const MAX_RESPONSE_SIZE = 256 * 1024;

interface TokenOptions {
  /** Names the registry in errors. */
  readonly registry: string;
  readonly send: Send;
  /** The requested access, used when the challenge does not name one. */
  readonly scope: string;
  /** Throws for plain HTTP to a host that is not named as insecure. */
  readonly checkUrl: (url: URL) => void;
}

/**
 * Answers a challenge. A bearer token comes from the challenge's realm, which receives the credentials (distribution,
 * "Token Authentication" and "OAuth2 Token Authentication").
 *
 * @returns the value of an Authorization header; undefined for a basic challenge without a password
 * @throws StatusError when the token server refuses; PanamaxError `io`, `bad-input`, `limit`
 */
export async function authorize(
  challenge: Challenge,
  credentials: Credentials | undefined,
  { registry, send, scope, checkUrl }: TokenOptions,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (challenge.scheme === 'basic') {
    return credentials?.kind === 'password' ? basic(credentials.username, credentials.password) : undefined;
  }
  const { realm, service, scope: asked = scope } = challenge.parameters;
  const url = URL.parse(realm ?? '');
  if (!url || !/^https?:$/.test(url.protocol)) {
    const facts = { found: realm ?? 'none', where: registry };
    throw new PanamaxError('io', 'the registry names no place to get a token', facts);
  }
  checkUrl(url);

  // a refresh token goes into the form of a POST, a password into the headers of a GET
  const scopes = asked.split(' ').filter(Boolean);
  const isRefresh = credentials?.kind === 'token';
  const form = new URLSearchParams(isRefresh ? { grant_type: 'refresh_token', client_id: 'panamax' } : {});
  if (service !== undefined) form.set('service', service);
  if (isRefresh) {
    form.set('refresh_token', credentials.token);
    if (scopes.length > 0) form.set('scope', scopes.join(' '));
  } else {
    for (const one of scopes) form.append('scope', one);
    for (const [name, value] of form) url.searchParams.append(name, value);
  }
  const response = await send(
    isRefresh
      ? {
          method: 'POST',
          url,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: () => Buffer.from(form.toString()),
        }
      : {
          method: 'GET',
          url,
          headers: credentials ? { authorization: basic(credentials.username, credentials.password) } : {},
        },
    signal,
  );
  if (response.statusCode !== 200) throw await refusalOf(response);

  const where = `${url.origin}${url.pathname}`;
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size > MAX_RESPONSE_SIZE) {
      throw new PanamaxError('limit', 'token response is too large', {
        expected: `at most ${MAX_RESPONSE_SIZE} bytes`,
        where,
      });
    }
  }
  const { token, access_token: accessToken } = asRecord(parseDocument(Buffer.concat(pieces), where), where);
  const found = token ?? accessToken;
  // visible ASCII only: a line feed would start another header
  if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return `Bearer ${found}`;
  throw new PanamaxError('io', 'token response without a token', { where });
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
