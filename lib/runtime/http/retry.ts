import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** Counts the failures of one action that may be repeated. */
export interface Retry {
  /** Waits before the next attempt, longer each time. Throws the error when another attempt is of no use. */
  after(error: unknown): Promise<void>;
  /** Resets the count: the action has made progress. */
  progress(): void;
}

export interface RetryPolicy {
  readonly attempts: number;
  /** Before the second attempt, doubled for each further one, plus or minus half at random. In milliseconds. */
  readonly delay: number;
  readonly isTransient: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
}

/** For servers that have answered before and may be restarting. */
export const DEFAULT_ATTEMPTS = { attempts: 6, delay: 250 } as const;

/** A response with a status that was not expected. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly status: number;
  /** From the Retry-After header, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, retryAfter?: number) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** A transfer that timed out or ended before its last byte. */
export class TransferError extends Error {
  override readonly name = 'TransferError';
}

const TRANSIENT_STATUSES: ReadonlySet<number | undefined> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Error codes of Node's sockets, DNS look-ups and streams after which the same request may succeed. */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
]);
/** Prefix of the HTTP parser's codes: the response was cut or did not come from an HTTP server. */
const PARSER_CODE = 'HPE_';

/** A longer wait than this is not granted to a server. In milliseconds. */
const MAX_RETRY_AFTER = 120_000;

export function isTransientStatus(status: number | undefined): boolean {
  return TRANSIENT_STATUSES.has(status);
}

/** Whether the same request may succeed later: the network failed, or the server said so. */
export function isTransientFailure(error: unknown): boolean {
  if (error instanceof StatusError) return isTransientStatus(error.status);
  if (error instanceof TransferError) return true;
  if (!(error instanceof Error)) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return TRANSIENT_CODES.has(code) || code.startsWith(PARSER_CODE);
}

/** The wait that a Retry-After header asks for, in milliseconds (RFC 9110, 10.2.3: seconds or a date). */
export function retryAfterOf({ headers }: Pick<IncomingMessage, 'headers'>): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

export function createRetry({ attempts, delay: first, isTransient, signal }: RetryPolicy): Retry {
  let failures = 0;
  return {
    async after(error) {
      const asked = error instanceof StatusError ? (error.retryAfter ?? 0) : 0;
      const isFinal = ++failures >= attempts || asked > MAX_RETRY_AFTER || !isTransient(error);
      if (isFinal || signal?.aborted) throw error;
      // the random factor spreads clients that failed at the same moment
      const backoff = first * 2 ** (failures - 1) * (0.5 + Math.random());
      await delay(Math.max(backoff, asked), undefined, signal && { signal });
    },
    progress() {
      failures = 0;
    },
  };
}

/** Repeats an action until it succeeds or its error is final. */
export async function retrying<T>(policy: RetryPolicy, action: () => Promise<T>): Promise<T> {
  for (const retry = createRetry(policy); ;) {
    try {
      return await action();
    } catch (error) {
      await retry.after(error);
    }
  }
}
