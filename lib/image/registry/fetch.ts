import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import { createClient, sendAndFollow, type Request } from '../../runtime/http/client.ts';
import {
  createRetry,
  DEFAULT_ATTEMPTS,
  retrying,
  StatusError,
  type Retry,
} from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';
import { authorize } from './auth.ts';
import { parseChallenge } from './challenge.ts';
import { lookUpCredentials } from './credentials.ts';
import { isTransient, refusalOf } from './error.ts';
import type { RegistrySettings } from './settings.ts';

/** Requests to one registry as one user. */
export interface Session {
  /** Scheme, host and port of the registry's API. */
  readonly origin: string;
  /**
   * Sends a request until its response has an expected status. Follows redirects and authenticates.
   *
   * @param scope the access that a token has to grant, as `repository:NAME:pull[,push]`
   * @throws StatusError for any other status, PanamaxError, or a network error of Node
   */
  fetch(request: Request, expected: readonly number[], scope: string): Promise<IncomingMessage>;
  /** As `fetch`, but with a single attempt. */
  once(request: Request, expected: readonly number[], scope: string): Promise<IncomingMessage>;
  /** Starts to count the failures of an action that consists of several requests. */
  attempts(): Retry;
}

export function openSession(registry: string, settings: RegistrySettings, signal?: AbortSignal): Session {
  const { ca, skipsVerification = false } = settings;
  const send = createClient({ ...(ca && { ca }), skipsVerification });
  const policy = { ...DEFAULT_ATTEMPTS, isTransient, ...(signal && { signal }) };
  const isInsecure = settings.insecure.has(registry.toLowerCase());
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
  const origin = new URL(`${isInsecure ? 'http' : 'https'}://${host}`).origin;
  /** Values of the Authorization header by scope. */
  const authorizations = new Map<string, string>();

  function checkUrl(url: URL): void {
    const isAllowed =
      skipsVerification || url.protocol === 'https:' || (url.protocol === 'http:' && isNamedInsecure(url));
    if (isAllowed) return;
    throw new PanamaxError('io', 'plain HTTP is only spoken to hosts that are named as insecure', {
      found: url.origin,
      where: registry,
    });
  }

  /** The token and blob servers on the host of an insecure registry may use plain HTTP, too. */
  function isNamedInsecure({ host, hostname }: URL): boolean {
    return settings.insecure.has(host) || (isInsecure && hostname === new URL(origin).hostname);
  }

  /** Set when a registry whose certificate is not verified turns out to speak no TLS. */
  let isPlain = false;
  const plainOrigin = origin.replace(/^https:/, 'http:');

  async function follow(request: Request, authorization: string | undefined): Promise<IncomingMessage> {
    try {
      return await followOnce(request, authorization);
    } catch (error) {
      if (!skipsVerification || isPlain || protocolProblem(error) === undefined) throw error;
      isPlain = true;
      return followOnce(request, authorization);
    }
  }

  /** Follows redirects. Credentials are only sent to the registry itself. */
  function followOnce(asked: Request, authorization: string | undefined): Promise<IncomingMessage> {
    const isMoved = isPlain && asked.url.origin === origin;
    const request = isMoved ? { ...asked, url: new URL(asked.url.href.replace(origin, plainOrigin)) } : asked;
    const headersFor = (url: URL) => {
      checkUrl(url);
      const isOwn = url.origin === (isPlain ? plainOrigin : origin);
      return { ...request.headers, ...(authorization && isOwn ? { authorization } : {}) };
    };
    return sendAndFollow(send, request, headersFor, signal);
  }

  async function attempt(request: Request, scope: string): Promise<IncomingMessage> {
    const response = await follow(request, authorizations.get(scope));
    if (response.statusCode !== 401) return response;
    const challenge = parseChallenge(response.headers['www-authenticate']);
    const refusal = await refusalOf(response);
    if (!challenge) throw refusal;
    const credentials = await lookUpCredentials(settings, registry, /^repository:([^:]+):/.exec(scope)?.[1]);
    const authorization = await authorize(
      challenge,
      credentials,
      { registry, send, scope, checkUrl },
      signal,
    );
    if (authorization === undefined) {
      throw new StatusError(refusal.status, `${refusal.message}; no credentials for ${registry}`);
    }
    authorizations.set(scope, authorization);
    return follow(request, authorization);
  }

  async function once(request: Request, expected: readonly number[], scope: string) {
    const response = await attempt(request, scope);
    if (expected.includes(response.statusCode ?? 0)) return response;
    throw await refusalOf(response);
  }

  return {
    origin,
    once,
    attempts: () => createRetry(policy),
    fetch: (request, expected, scope) => retrying(policy, () => once(request, expected, scope)),
  };
}
