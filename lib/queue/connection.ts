import { Redis } from 'ioredis';
import { PanamaxError, toPanamaxError } from '../errors.ts';
import type { Store } from '../store/objects/store.ts';
import { prefixOf } from './names.ts';

/** In milliseconds. */
const CONNECT_TIMEOUT = 2000;
/** Until a server has answered for the first time; then for each command. */
const GREETING_TIMEOUT = 6000;
const ANSWER_TIMEOUT = 10_000;
const CONNECT_TRIES = 3;
const MAX_RECONNECT_DELAY = 5000;

export interface Connection {
  readonly redis: Redis;
  /** Names the server in messages, without credentials. */
  readonly where: string;
  /** Of the keys of the store that it is for. */
  readonly prefix: string;
}

/**
 * For who puts work in: gives up within seconds where Redis is out of reach or stops answering.
 *
 * @throws PanamaxError `usage` for what is no URL of Redis, `io`
 */
export async function connectProducer(url: string, store: Pick<Store, 'name'>): Promise<Connection> {
  const where = checkedWhere(url);
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: ANSWER_TIMEOUT,
    maxRetriesPerRequest: null,
    // only the end of retries fails the commands that wait
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

/** For workers: waits for Redis as long as it takes. @throws PanamaxError `usage` */
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

/** What goes wrong on the way to Redis or in it may go well later: `io`. */
export function redisError(error: unknown, where: string): PanamaxError {
  if (error instanceof PanamaxError) return error;
  const { message } = toPanamaxError(error);
  // node tells of several addresses at once, with an empty message
  const code = (error as NodeJS.ErrnoException).code ?? 'no answer';
  return new PanamaxError('io', `Redis: ${message || code}`, { where }, { cause: error });
}

function checkedWhere(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || !parsed.hostname) {
    // the text may hold a password
    throw new PanamaxError('usage', 'not a URL of Redis', {
      expected: 'redis://[USER:PASSWORD@]HOST[:PORT][/DB]',
    });
  }
  return `redis at ${parsed.hostname}:${parsed.port || '6379'}`;
}
