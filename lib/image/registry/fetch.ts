import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { PanamaxError } from '../../errors.ts';
import { authorize } from './auth.ts';
import { parseChallenge } from './challenge.ts';
import { findCredentials } from './credentials.ts';
import { isTransient, RefusalError, refusalOf } from './error.ts';
import type { RegistrySettings } from './settings.ts';
import { createTransport, type Request } from '../../runtime/http/transport.ts';

/** One registry, spoken to as one user. */
export interface Session {
  /** Of the API. */
  readonly origin: string;
  /**
   * Sends a request until it has an answer with a status that is expected, follows redirects, and authenticates.
   *
   * @param scope what a token has to allow
   * @throws RefusalError for another status, PanamaxError, or what the network throws
   */
  fetch(request: Request, expected: readonly number[], scope: string): Promise<IncomingMessage>;
  /** As `fetch`, but tries once. */
  once(request: Request, expected: readonly number[], scope: string): Promise<IncomingMessage>;
  /** Begins to count failures; `after` waits after one, longer each time, or throws it. */
  attempts(): Attempts;
}

export interface Attempts {
  after(error: unknown): Promise<void>;
  /** Something was achieved: the next failure counts as the first. */
  progress(): void;
}

const MAX_REDIRECTS = 5;
const MAX_ATTEMPTS = 6;
const FIRST_DELAY = 250;
/** What is asked for beyond that is a refusal. */
const MAX_RETRY_AFTER = 120_000;

export function openSession(registry: string, settings: RegistrySettings, signal?: AbortSignal): Session {
  const send = createTransport(settings.ca);
  const isInsecure = settings.insecure.has(registry.toLowerCase());
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
  const origin = new URL(`${isInsecure ? 'http' : 'https'}://${host}`).origin;
  /** By scope: the value of the Authorization header. */
  const authorizations = new Map<string, string>();

  function checkUrl(url: URL): void {
    const isAllowed = url.protocol === 'https:' || (url.protocol === 'http:' && isNamedInsecure(url));
    if (isAllowed) return;
    throw new PanamaxError('io', 'plain HTTP is only spoken to hosts that are named as insecure', {
      found: url.origin,
      where: registry,
    });
  }

  /** A registry in plain HTTP has its tokens and its blobs on the same machine. */
  function isNamedInsecure({ host, hostname }: URL): boolean {
    return settings.insecure.has(host) || (isInsecure && hostname === new URL(origin).hostname);
  }

  /** Follows redirects; credentials stay with the registry. */
  async function follow(request: Request, authorization: string | undefined): Promise<IncomingMessage> {
    let { url } = request;
    for (let redirects = 0; ; redirects++) {
      checkUrl(url);
      const headers = {
        ...request.headers,
        ...(authorization && url.origin === origin ? { authorization } : {}),
      };
      const response = await send({ ...request, url, headers }, signal);
      const { location } = response.headers;
      const isRedirect = [301, 302, 303, 307, 308].includes(response.statusCode ?? 0);
      if (!isRedirect || location === undefined || !/^(GET|HEAD)$/.test(request.method)) return response;
      response.resume();
      const next = URL.parse(location, url.href);
      if (!next || redirects === MAX_REDIRECTS) {
        throw new PanamaxError('io', 'redirects lead nowhere', { where: registry });
      }
      url = next;
    }
  }

  async function attempt(request: Request, scope: string): Promise<IncomingMessage> {
    const response = await follow(request, authorizations.get(scope));
    if (response.statusCode !== 401) return response;
    const challenge = parseChallenge(response.headers['www-authenticate']);
    const refusal = await refusalOf(response);
    if (!challenge) throw refusal;
    const credentials = await findCredentials(settings.dockerConfig, registry);
    const authorization = await authorize(challenge, credentials, { send, scope, checkUrl }, signal);
    if (authorization === undefined) {
      throw new RefusalError(refusal.status, `${refusal.message}; no credentials for ${registry}`);
    }
    authorizations.set(scope, authorization);
    return follow(request, authorization);
  }

  async function once(request: Request, expected: readonly number[], scope: string) {
    const response = await attempt(request, scope);
    if (expected.includes(response.statusCode ?? 0)) return response;
    throw await refusalOf(response);
  }

  function attempts(): Attempts {
    let failures = 0;
    return {
      async after(error) {
        const asked = error instanceof RefusalError ? error.retryAfter : undefined;
        const isHopeless =
          ++failures >= MAX_ATTEMPTS || (asked ?? 0) > MAX_RETRY_AFTER || !isTransient(error);
        if (isHopeless || signal?.aborted) throw error;
        // many that have failed at once shall not come back at once
        const backoff = FIRST_DELAY * 2 ** (failures - 1) * (0.5 + Math.random());
        await delay(Math.max(backoff, asked ?? 0), undefined, signal && { signal });
      },
      progress() {
        failures = 0;
      },
    };
  }

  return {
    origin,
    attempts,
    once,
    async fetch(request, expected, scope) {
      for (const retry = attempts(); ;) {
        try {
          return await once(request, expected, scope);
        } catch (error) {
          await retry.after(error);
        }
      }
    },
  };
}
