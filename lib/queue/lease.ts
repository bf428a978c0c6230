import { redisError, type Connection } from './connection.ts';

/** Leases that keep two jobs from doing the same work at once. They save work; correctness rests on the store. */
export interface Leases {
  /** False if another owner has the lease. Re-taking an own lease renews it. */
  take(name: string, owner: string): Promise<boolean>;
  release(name: string, owner: string): Promise<void>;
  /** The owners of leases, in the order of `names`; undefined for those that nobody has. */
  owners(names: readonly string[]): Promise<(string | undefined)[]>;
}

const EXTEND = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`;
const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

/** @param duration time after which a lease ends unless it is renewed, in milliseconds */
export function openLeases({ redis, where, prefix }: Connection, duration: number): Leases {
  const key = (name: string) => `${prefix}:lease:${name}`;
  return {
    async take(name, owner) {
      try {
        if ((await redis.set(key(name), owner, 'PX', duration, 'NX')) === 'OK') return true;
        return (await redis.eval(EXTEND, 1, key(name), owner, duration)) === 1;
      } catch (error) {
        throw redisError(error, where);
      }
    },
    async release(name, owner) {
      // an error is ignored: the lease ends by itself
      await redis.eval(RELEASE, 1, key(name), owner).catch(() => {});
    },
    async owners(names) {
      if (names.length === 0) return [];
      try {
        return (await redis.mget(names.map(key))).map((owner) => owner ?? undefined);
      } catch (error) {
        throw redisError(error, where);
      }
    },
  };
}
