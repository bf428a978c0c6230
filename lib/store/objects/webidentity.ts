import { readFile } from 'node:fs/promises';
import { PanamaxError, printable, toPanamaxError } from '../../errors.ts';
import { createClient, type Send } from '../../runtime/http/client.ts';
import {
  DEFAULT_ATTEMPTS,
  isTransientFailure,
  retrying,
  retryAfterOf,
  StatusError,
} from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';
import { textOf } from './s3xml.ts';

/** A role of AWS that the bearer of a token may take, as pods of Kubernetes have them. */
export interface WebIdentity {
  readonly role: string;
  /** Read for each request: Kubernetes replaces the token. */
  readonly tokenFile: string;
  readonly session: string;
  /** Address of the Security Token Service. */
  readonly endpoint: URL;
}

/** Temporary keys. */
export interface RoleKeys {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken: string;
  readonly expires: Date;
}

/** The keys are renewed before their end by this time, in milliseconds. */
const MARGIN = 5 * 60_000;
/** After a failed renewal the next one waits for this time, in milliseconds. */
const PAUSE = 30_000;
const TIMEOUTS = { connect: 5000, idle: 10_000 };
const MAX_ANSWER = 64 * 1024;

/**
 * Gives out the keys of a role, and renews them before they end. While a renewal fails, keys that are still valid are
 * given out.
 *
 * @returns a function that throws PanamaxError `usage`, `not-found` or `io` without valid keys
 */
export function createRoleKeys(identity: WebIdentity, now: () => number = Date.now): () => Promise<RoleKeys> {
  const send = createClient({ timeouts: TIMEOUTS });
  let keys: RoleKeys | undefined;
  let renewal: Promise<RoleKeys> | undefined;
  let notBefore = 0;
  return async () => {
    const left = keys ? keys.expires.getTime() - now() : 0;
    if (keys && (left > MARGIN || (left > 0 && now() < notBefore))) return keys;
    renewal ??= assumeRole(identity, send).finally(() => (renewal = undefined));
    try {
      keys = await renewal;
      return keys;
    } catch (error) {
      notBefore = now() + PAUSE;
      if (keys && keys.expires.getTime() > now()) return keys;
      throw error;
    }
  };
}

/** Asks for keys (AWS STS, AssumeRoleWithWebIdentity). */
async function assumeRole(identity: WebIdentity, send: Send): Promise<RoleKeys> {
  const { role, tokenFile, session, endpoint } = identity;
  const where = `${endpoint.host} role ${role}`;
  const token = await readFile(tokenFile, 'utf8').catch((error: unknown) => {
    throw toPanamaxError(error, tokenFile);
  });
  const form = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: role,
    RoleSessionName: session,
    WebIdentityToken: token.trim(),
  });
  const body = Buffer.from(form.toString());
  const headers = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    'content-length': String(body.length),
  };
  const ask = async () => {
    const response = await send({ method: 'POST', url: endpoint, headers, body: () => body });
    const text = await readText(response);
    if (response.statusCode === 200) return text;
    const reason = [textOf(text, 'Code'), textOf(text, 'Message')].filter(Boolean).join(': ');
    const message = `${response.statusCode ?? 0}${reason && ` ${reason}`}`;
    throw new StatusError(response.statusCode ?? 0, printable(message), retryAfterOf(response));
  };
  try {
    const answer = await retrying({ ...DEFAULT_ATTEMPTS, isTransient: isTransientFailure }, ask);
    return parseKeys(answer, where);
  } catch (error) {
    if (error instanceof PanamaxError) throw error;
    const problem = protocolProblem(error) ?? (error as Error).message;
    const isRefused = error instanceof StatusError;
    const what = isRefused ? `the role is refused: ${problem}` : `no keys for a role: ${problem}`;
    const isFinal = isRefused && !isTransientFailure(error) && { isFinal: true as const };
    throw new PanamaxError('io', what, { where, ...isFinal }, { cause: error });
  }
}

function parseKeys(answer: string, where: string): RoleKeys {
  const [accessKey, secretKey, sessionToken, end] = [
    'AccessKeyId',
    'SecretAccessKey',
    'SessionToken',
    'Expiration',
  ].map((name) => textOf(answer, name));
  const expires = new Date(end ?? '');
  if (accessKey && secretKey && sessionToken && !Number.isNaN(expires.getTime())) {
    return { accessKey, secretKey, sessionToken, expires };
  }
  throw new PanamaxError('io', 'an answer without keys', { where });
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > MAX_ANSWER) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
