import { Redis } from 'ioredis';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Store } from '../store/objects/store.ts';
import { prefixOf } from './names.ts';

/** In milliseconds. */
const CONNECT_TIMEOUT = 2000;
/** Time until the first answer of a server; then the time for each command. */
const GREETING_TIMEOUT = 6000;
const ANSWER_TIMEOUT = 10_000;
const CONNECT_TRIES = 3;
const MAX_RECONNECT_DELAY = 5000;

export interface Connection {
  readonly redis: Redis;
  /** Names the server in messages, without credentials. */
  readonly where: string;
  /** Prefix of the store's keys. */
  readonly prefix: string;
}

/**
 * Connects a producer: gives up within seconds if Redis is unreachable or stops answering.
 *
 * @throws PanamaxError `usage` for an invalid URL, `io`
 */
export async function connectProducer(url: string, store: Pick<Store, 'name'>): Promise<Connection> {
  const where = checkedWhere(url);
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: ANSWER_TIMEOUT,
    maxRetriesPerRequest: null,
    // pending commands fail only when retries end
    retryStrategy: (times) => (times < CONNECT_TRIES ? 200 * times : null),
  });
  let last: Error | undefined;
  redis.on('error', (error: Error) => (last = error));
  const late = setTimeout(() => {
    last ??= new Error(`no answer in ${GREETING_TIMEOUT / 1000} s`);
    redis.disconnect();
  }, GREETING_TIMEOUT);
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw redisError(last ?? error, where);
  } finally {
    clearTimeout(late);
  }
  return { redis, where, prefix: prefixOf(store) };
}

/** Connects a worker: reconnects until Redis answers. @throws PanamaxError `usage` for an invalid URL */
export function connectWorker(
  url: string,
  store: Pick<Store, 'name'>,
  onError: (error: Error) => void,
): Connection {
  const where = checkedWhere(url);
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT,
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(200 * times, MAX_RECONNECT_DELAY),
  });
  redis.on('error', onError);
  return { redis, where, prefix: prefixOf(store) };
}

/** Errors of Redis and of the way to it are of kind `io`, so that jobs are retried. */
export function redisError(error: unknown, where: string): PanamaxError {
  if (error instanceof PanamaxError) return error;
  const { message } = toPanamaxError(error);
  // node reports several addresses in one error, whose message is empty
  const code = (error as NodeJS.ErrnoException).code ?? 'no answer';
  return new PanamaxError('io', `Redis: ${message || code}`, { where }, { cause: error });
}

function checkedWhere(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || !parsed.hostname) {
    // the text is not shown, since it may hold a password
    throw new PanamaxError('usage', 'not a URL of Redis', {
      expected: 'redis://[USER:PASSWORD@]HOST[:PORT][/DB]',
    });
  }
  return `redis at ${parsed.hostname}:${parsed.port || '6379'}`;
}
