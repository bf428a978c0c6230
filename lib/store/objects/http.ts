import type { IncomingMessage } from 'node:http';
import { pipeline, type Duplex } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { PanamaxError } from '../../errors.ts';
import { createClient, discard, sendAndFollow } from '../../runtime/http/client.ts';
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

interface Download {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Size of the whole object in bytes; undefined when the server does not tell it. */
  readonly size: number | undefined;
  close(): void;
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
  const send = createClient(idle === undefined ? {} : { timeouts: { idle } });
  const policy: RetryPolicy = {
    ...DEFAULT_ATTEMPTS,
    ...attempts,
    isTransient: isTransientFailure,
    ...(signal && { signal }),
  };

  /** @returns undefined for a missing object */
  async function request(key: string, offset: number): Promise<Download | undefined> {
    const url = new URL(base!);
    url.pathname += key;
    const range: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    // credentials stay with the host they were given for
    const headersFor = (hop: URL) => ({ ...range, ...(hop.origin === origin ? credentials : {}) });
    const response = await sendAndFollow(send, { method: 'GET', url }, headersFor, signal);
    if (response.statusCode === 404 || response.statusCode === 410) {
      discard(response);
      return undefined;
    }
    try {
      return { ...readResponse(response, offset), close: () => void response.destroy() };
    } catch (error) {
      discard(response);
      throw error;
    }
  }

  async function* readOn(
    key: string,
    start: number,
    first: Download,
  ): AsyncGenerator<Uint8Array, void, void> {
    const retry = createRetry(policy);
    let download: Download | undefined = first;
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
          await retry.after(error);
        }
      }
    } catch (error) {
      throw httpError(error, `${where}${key}`, signal);
    } finally {
      download?.close();
    }
  }

  async function begin(key: string, offset = 0): Promise<Download | undefined> {
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

/**
 * Reads an object from an offset out of a response, which may start earlier.
 *
 * @throws StatusError for a response that is no part of an object
 */
function readResponse(response: IncomingMessage, offset: number): Omit<Download, 'close'> {
  const { statusCode: status = 0, headers } = response;
  if (status !== 200 && status !== 206) {
    const message = `answer ${status} ${response.statusMessage ?? ''}`.trim();
    throw new StatusError(status, message, retryAfterOf(response));
  }
  const from = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1];
  if (status === 206 && Number(from) !== offset) throw new StatusError(status, 'not the range asked for');
  const start = status === 206 ? offset : 0;
  const decoder = decoderOf(response);
  const length = headers['content-length'];
  // the length of an encoded body is not the object's
  const isKnown = length !== undefined && /^\d+$/.test(length) && !decoder;
  // an error of the response reaches the reader through the decoder
  const content = decoder ? pipeline(response, decoder, () => {}) : response;
  return { bytes: skipBytes(content, offset - start), size: isKnown ? start + Number(length) : undefined };
}

/** Some servers encode a body although the request refuses it. @throws StatusError for an unknown encoding */
function decoderOf({ statusCode = 0, headers }: IncomingMessage): Duplex | undefined {
  const encoding = headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding === 'identity') return undefined;
  const create = statusCode === 200 ? DECODERS.get(encoding) : undefined;
  if (create) return create();
  throw new StatusError(statusCode, `body in the encoding ${encoding}`);
}

const DECODERS: ReadonlyMap<string, () => Duplex> = new Map<string, () => Duplex>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

async function* skipBytes(content: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let skipped = 0;
  for await (const piece of content) {
    const rest = piece.subarray(Math.min(piece.length, count - skipped));
    skipped += piece.length - rest.length;
    if (rest.length > 0) yield rest;
  }
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
