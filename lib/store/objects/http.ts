import type { IncomingMessage } from 'node:http';
import { PanamaxError } from '../../errors.ts';
import { createClient, discard, sendAndFollow } from '../../runtime/http/client.ts';
import { requestContent, type Content } from '../../runtime/http/content.ts';
import {
  createRetry,
  DEFAULT_ATTEMPTS,
  isTransientFailure,
  retryAfterOf,
  retrying,
  StatusError,
  TransferError,
  type RetryPolicy,
} from '../../runtime/http/retry.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';
import { checkKey, MAX_DOCUMENT_SIZE, tooLarge, type StoreReader } from './store.ts';

export interface HttpOptions {
  readonly attempts?: number;
  /** Before the second attempt, doubled for each further one. In milliseconds. */
  readonly delay?: number;
  /** Without a byte, in milliseconds. */
  readonly idle?: number;
  /** Ends requests in progress. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a store that a web server or CDN serves as files, for reading:
 * `http[s]://[USER:PASSWORD@]HOST/PATH[?QUERY]`. The query is added to every request. A broken download is resumed,
 * by Range if the server supports it. The bytes are not trusted: callers compare digests.
 *
 * @throws PanamaxError `usage`
 */
export function openHttpStore(location: string, options: HttpOptions = {}): StoreReader {
  const { idle, signal, ...attempts } = options;
  const base = URL.parse(location);
  if (!base) {
    throw new PanamaxError('usage', 'not a store', { expected: 'http[s]://HOST/PATH', found: location });
  }
  const credentials = authorization(base);
  base.username = base.password = base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const { origin } = base;
  const where = `${origin}${base.pathname}`;
  const client = createClient(idle === undefined ? {} : { timeouts: { idle } });
  const policy: RetryPolicy = {
    ...DEFAULT_ATTEMPTS,
    ...attempts,
    isTransient: isTransientFailure,
    ...(signal && { signal }),
  };

  /** Sends a request for an object. @throws StatusError for a response that is no part of an object */
  async function send(key: string, offset: number): Promise<IncomingMessage> {
    const url = new URL(base!);
    url.pathname += key;
    const range: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    // credentials stay with the host they were given for
    const headersFor = (hop: URL) => ({ ...range, ...(hop.origin === origin ? credentials : {}) });
    const response = await sendAndFollow(client, { method: 'GET', url }, headersFor, signal);
    const { statusCode: status = 0, statusMessage = '' } = response;
    if (status === 200 || status === 206) return response;
    discard(response);
    throw new StatusError(status, `answer ${status} ${statusMessage}`.trim(), retryAfterOf(response));
  }

  /** @returns undefined for a missing object */
  async function request(key: string, offset: number): Promise<Content | undefined> {
    try {
      return await requestContent((from) => send(key, from), offset, `${where}${key}`);
    } catch (error) {
      if (error instanceof StatusError && (error.status === 404 || error.status === 410)) return undefined;
      throw error;
    }
  }

  async function* readOn(key: string, start: number, first: Content): AsyncGenerator<Uint8Array, void, void> {
    const retry = createRetry(policy);
    let download: Content | undefined = first;
    let offset = start;
    try {
      for (;;) {
        try {
          download ??= await request(key, offset);
          if (!download) throw new PanamaxError('not-found', 'object is gone', { where: `${where}${key}` });
          for await (const piece of download.bytes) {
            offset += piece.length;
            retry.progress();
            yield piece;
          }
          if (first.size !== undefined && offset < first.size) {
            throw new TransferError(`ended after ${offset} bytes`);
          }
          return;
        } catch (error) {
          download?.close();
          download = undefined;
          // the transfer broke behind the last byte
          if (error instanceof StatusError && error.status === 416 && first.size === undefined) return;
          await retry.after(error);
        }
      }
    } catch (error) {
      throw httpError(error, `${where}${key}`, signal);
    } finally {
      download?.close();
    }
  }

  async function begin(key: string, offset = 0): Promise<Content | undefined> {
    checkKey(key);
    try {
      return await retrying(policy, () => request(key, offset));
    } catch (error) {
      throw httpError(error, `${where}${key}`, signal);
    }
  }

  return {
    where,
    async get(key) {
      const download = await begin(key);
      if (!download) return undefined;
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of readOn(key, 0, download)) {
        size += piece.length;
        if (size > MAX_DOCUMENT_SIZE) throw tooLarge(size, `${where}${key}`);
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    },
    async open(key, offset = 0) {
      const download = await begin(key, offset);
      if (!download) throw new PanamaxError('not-found', 'no such object', { where: `${where}${key}` });
      return readOn(key, offset, download);
    },
  };
}

function httpError(error: unknown, where: string, signal: AbortSignal | undefined): PanamaxError {
  if (error instanceof PanamaxError) return error;
  if (signal?.aborted) {
    return new PanamaxError('interrupted', 'stopped before it was done', { where }, { cause: error });
  }
  const problem = protocolProblem(error);
  if (problem) return new PanamaxError('io', problem, { where, isFinal: true }, { cause: error });
  // an error about several addresses of a host has a code but no message
  const { message, code } = error as NodeJS.ErrnoException;
  return new PanamaxError('io', message || (code ?? 'download failed'), { where }, { cause: error });
}

function authorization({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}
