import { redisError, type Connection } from './connection.ts';

/** Keeps two runs from working on one thing at once. The store is what makes it right: this saves double work. */
export interface Leases {
  /** False where another owner has it. Who has it already has it on. */
  take(what: string, owner: string): Promise<boolean>;
  release(what: string, owner: string): Promise<void>;
}

const EXTEND = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`;
const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

/** @param duration after which a lease ends that nobody takes again, in milliseconds */
export function openLeases({ redis, where, prefix }: Connection, duration: number): Leases {
  const key = (what: string) => `${prefix}:lease:${what}`;
  return {
    async take(what, owner) {
      try {
        if ((await redis.set(key(what), owner, 'PX', duration, 'NX')) === 'OK') return true;
        return (await redis.eval(EXTEND, 1, key(what), owner, duration)) === 1;
      } catch (error) {
        throw redisError(error, where);
      }
    },
    async release(what, owner) {
      // it ends by itself
      await redis.eval(RELEASE, 1, key(what), owner).catch(() => {});
    },
  };
}
