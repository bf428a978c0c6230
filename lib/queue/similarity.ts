import type { ForestStorage } from '../pairing/forest.ts';
import { TREES } from '../pairing/signature/imagesketch.ts';
import { redisError, type Connection } from './connection.ts';

/**
 * The similarity index of a store in Redis: a sorted set for each tree, with all scores 0 and so ordered bytewise, and a
 * hash of records by ID. About 1.5 KB per image. It can be rebuilt from the store.
 */
export function redisForest({ redis, where, prefix }: Connection): ForestStorage {
  const trees = Array.from({ length: TREES }, (_, tree) => `${prefix}:similar:${tree}`);
  const records = `${prefix}:similar:images`;

  /** Runs several commands in one round trip. */
  async function run(commands: readonly Command[]): Promise<unknown[]> {
    try {
      const pipeline = redis.pipeline();
      for (const [command, ...args] of commands) pipeline.callBuffer(command, ...args);
      const answers = (await pipeline.exec()) ?? [];
      return answers.map(([error, answer]) => {
        if (error) throw error;
        return answer;
      });
    } catch (error) {
      throw redisError(error, where);
    }
  }

  return {
    async put(images) {
      // records are written last: an image with a record is in all trees
      const members = trees.map((tree, i): Command => [
        'ZADD',
        tree,
        ...images.flatMap(({ keys }) => ['0', keys[i]!]),
      ]);
      const set: Command = ['HSET', records, ...images.flatMap(({ id, record }) => [id, record])];
      if (images.length > 0) await run([...members, set]);
    },
    async remove(id, keys) {
      const members = trees.map((tree, i): Command => ['ZREM', tree, keys[i]!]);
      await run([['HDEL', records, id], ...members]);
    },
    async around(keys, count) {
      const limit = ['LIMIT', '0', String(count)] as const;
      const answers = await run(
        trees.flatMap((tree, i): Command[] => [
          ['ZREVRANGEBYLEX', tree, Buffer.concat([Buffer.from('('), keys[i]!]), '-', ...limit],
          ['ZRANGEBYLEX', tree, Buffer.concat([Buffer.from('['), keys[i]!]), '+', ...limit],
        ]),
      );
      return trees.map((_, i) => [...(answers[2 * i] as Buffer[]), ...(answers[2 * i + 1] as Buffer[])]);
    },
    async records(ids) {
      if (ids.length === 0) return [];
      const [found] = await run([['HMGET', records, ...ids]]);
      return found as (Buffer | null)[];
    },
    async *all() {
      let cursor = '0';
      do {
        const [[next, fields]] = (await run([['HSCAN', records, cursor, 'COUNT', '1000']])) as [
          [Buffer, Buffer[]],
        ];
        cursor = next.toString();
        // IDs and records alternate
        for (let i = 1; i < fields.length; i += 2) yield fields[i]!;
      } while (cursor !== '0');
    },
  };
}

type Command = readonly [name: string, ...args: (string | Buffer)[]];
