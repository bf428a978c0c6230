import { PanamaxError } from '../../errors.ts';
import { protocolProblem } from '../../runtime/http/tls.ts';
import { createRetry, retrying, type RetryPolicy } from '../../runtime/http/retry.ts';
import { checkKey, MAX_DOCUMENT_SIZE, tooLarge, type StoreReader } from './store.ts';

export interface HttpOptions {
  readonly attempts?: number;
  /** Before the second attempt; doubled each time. In milliseconds. */
  readonly delay?: number;
  /** Without a byte, in milliseconds. */
  readonly idle?: number;
  /** Ends requests under way. */
  readonly signal?: AbortSignal;
}

/** Answers that say: later. */
const TRY_LATER = new Set([408, 425, 429, 500, 502, 503, 504]);

interface Answer {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Of the object as a whole, where the server says. */
  readonly size: number | undefined;
  close(): void;
}

/**
 * A store as any web server or CDN serves its files, to read: `http[s]://[USER:PASSWORD@]HOST/PATH[?QUERY]`; the
 * query goes with every request. What breaks off goes on where it was, by Range where the server knows it. Nothing
 * is trusted to be what was put there: who reads compares digests.
 *
 * @throws PanamaxError `usage`
 */
export function openHttpStore(location: string, options: HttpOptions = {}): StoreReader {
  const { attempts = 6, delay = 250, idle = 60_000, signal } = options;
  const base = URL.parse(location);
  if (!base)
    throw new PanamaxError('usage', 'not a store', { expected: 'http[s]://HOST/PATH', found: location });
  const headers = authorization(base);
  base.username = base.password = base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const where = `${base.origin}${base.pathname}`;
  const policy: RetryPolicy = { attempts, delay, isTransient, ...(signal && { signal }) };

  /** @returns undefined where there is no such object */
  async function request(key: string, offset: number): Promise<Answer | undefined> {
    const url = new URL(base!);
    url.pathname += key;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(new Error(`no data for ${idle / 1000} s`)), idle);
    const close = () => {
      clearTimeout(timer);
      stop.abort();
    };
    try {
      const response = await fetch(url, {
        headers: {
          // what is stored is what is wanted, not what would be shown
          'accept-encoding': 'identity',
          ...headers,
          ...(offset > 0 && { range: `bytes=${offset}-` }),
        },
        signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
      });
      if (response.status === 404 || response.status === 410) {
        close();
        return undefined;
      }
      return { ...answerTo(response, offset, timer), close };
    } catch (error) {
      close();
      throw error;
    }
  }

  async function* readOn(key: string, offset: number, first: Answer): AsyncGenerator<Uint8Array, void, void> {
    const retry = createRetry(policy);
    let answer: Answer | undefined = first;
    let at = offset;
    try {
      for (;;) {
        try {
          answer ??= await request(key, at);
          if (!answer) throw new PanamaxError('not-found', 'object is gone', { where: `${where}${key}` });
          for await (const piece of answer.bytes) {
            at += piece.length;
            retry.progress();
            yield piece;
          }
          if (first.size !== undefined && at < first.size) throw new Error(`ended after ${at} bytes`);
          return;
        } catch (error) {
          answer?.close();
          answer = undefined;
          await retry.after(error);
        }
      }
    } catch (error) {
      throw httpError(error, `${where}${key}`, signal);
    } finally {
      answer?.close();
    }
  }

  async function begin(key: string, offset = 0): Promise<Answer | undefined> {
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
      const answer = await begin(key);
      if (!answer) return undefined;
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of readOn(key, 0, answer)) {
        size += piece.length;
        if (size > MAX_DOCUMENT_SIZE) throw tooLarge(size, `${where}${key}`);
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    },
    async open(key, offset = 0) {
      const answer = await begin(key, offset);
      if (!answer) throw new PanamaxError('not-found', 'no such object', { where: `${where}${key}` });
      return readOn(key, offset, answer);
    },
  };
}

/** @throws StatusError for what is no part of an object */
function answerTo(response: Response, offset: number, timer: NodeJS.Timeout): Omit<Answer, 'close'> {
  const { status, body } = response;
  const length = lengthOf(response);
  if (status !== 200 && status !== 206) throw new StatusError(status, response.statusText);
  const skip = status === 200 ? offset : 0;
  const from = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (status === 206 && Number(from) !== offset) throw new StatusError(status, 'not the range asked for');
  async function* bytes(): AsyncGenerator<Uint8Array, void, void> {
    let at = 0;
    try {
      for await (const piece of body ?? []) {
        timer.refresh();
        const rest = piece.subarray(Math.min(piece.length, Math.max(0, skip - at)));
        at += piece.length;
        if (rest.length > 0) yield rest;
      }
    } finally {
      clearTimeout(timer);
    }
  }
  return { bytes: bytes(), size: length === undefined ? undefined : length + (offset - skip) };
}

class StatusError extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(`answer ${status} ${text}`.trim());
    this.status = status;
  }
}

function isTransient(error: unknown): boolean {
  if (error instanceof StatusError) return TRY_LATER.has(error.status);
  return !(error instanceof PanamaxError) && protocolProblem(error) === undefined;
}

function httpError(error: unknown, where: string, signal: AbortSignal | undefined): PanamaxError {
  if (error instanceof PanamaxError) return error;
  if (signal?.aborted)
    return new PanamaxError('interrupted', 'stopped before it was done', { where }, { cause: error });
  const problem = protocolProblem(error);
  if (problem) return new PanamaxError('io', problem, { where, isFinal: true }, { cause: error });
  // fetch says no more than that it failed
  const { message, cause } = error as Error;
  const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : message;
  return new PanamaxError('io', reason || message, { where }, { cause: error });
}

/** Of the body, in bytes. */
function lengthOf({ headers }: Response): number | undefined {
  const text = headers.get('content-length');
  // a body that is encoded for the way has another length in the end
  if (text === null || !/^\d+$/.test(text) || headers.has('content-encoding')) return undefined;
  return Number(text);
}

function authorization({ username, password }: URL): Record<string, string> {
  if (!username && !password) return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}
