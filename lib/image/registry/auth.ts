import { asRecord, parseDocument } from '../../json.ts';
import { PanamaxError } from '../../errors.ts';
import type { Challenge } from './challenge.ts';
import type { Credentials } from './credentials.ts';
import { refusalOf } from './error.ts';
import type { Send } from '../../runtime/http/transport.ts';

const MAX_ANSWER_SIZE = 256 * 1024;

/**
 * Gets what a challenge asks for: the value of an Authorization header. A token comes from the challenge's realm,
 * which gets the credentials (distribution's token and OAuth 2 authentication).
 *
 * @param scope what is wanted, where the challenge does not say it
 * @param checkUrl refuses plain HTTP where it is not allowed
 */
export async function authorize(
  challenge: Challenge,
  credentials: Credentials | undefined,
  { send, scope, checkUrl }: { send: Send; scope: string; checkUrl: (url: URL) => void },
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (challenge.scheme === 'basic') {
    return credentials?.kind === 'password' ? basic(credentials.username, credentials.password) : undefined;
  }
  const { realm, service, scope: asked = scope } = challenge.parameters;
  const url = URL.parse(realm ?? '');
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new PanamaxError('io', 'the registry names no place to get a token', { found: realm ?? 'none' });
  }
  checkUrl(url);
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
  for await (const piece of response) {
    pieces.push(piece as Buffer);
    size += (piece as Buffer).length;
    if (size > MAX_ANSWER_SIZE)
      throw new PanamaxError('limit', 'answer with a token is too large', { where });
  }
  const { token, access_token: accessToken } = asRecord(parseDocument(Buffer.concat(pieces), where), where);
  const found = token ?? accessToken;
  // nothing that could end a header
  if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return `Bearer ${found}`;
  throw new PanamaxError('io', 'answer without a token', { where });
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
