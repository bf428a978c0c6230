import type { ForestStorage } from '../pairing/forest.ts';
import { TREES } from '../pairing/sketch.ts';
import { redisError, type Connection } from './connection.ts';

/**
 * The similarity index in Redis: a sorted set for each tree, all of score 0 and so ordered bytewise, and a string for
 * each image. About 1.6 KB an image. Everything in it can be made again from the store.
 *
 * @param prefix of all keys; forests of different sketches need different ones
 */
export function redisForest({ redis, where }: Connection, prefix = 'panamax:similar:'): ForestStorage {
  const trees = Array.from({ length: TREES }, (_, tree) => `${prefix}t${tree}`);
  const recordKey = (id: Buffer) => Buffer.concat([Buffer.from(`${prefix}i`), id]);

  /** Several commands in one round trip. */
  async function run(commands: readonly Command[]): Promise<unknown[]> {
    try {
      const pipeline = redis.pipeline();
      for (const [name, ...args] of commands) pipeline.callBuffer(name, ...args);
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
      // records last: what has one is in all trees
      const members = trees.map((tree, i): Command => [
        'ZADD',
        tree,
        ...images.flatMap(({ keys }) => ['0', keys[i]!]),
      ]);
      const records: Command = ['MSET', ...images.flatMap(({ id, record }) => [recordKey(id), record])];
      if (images.length > 0) await run([...members, records]);
    },
    async remove(id, keys) {
      const members = trees.map((tree, i): Command => ['ZREM', tree, keys[i]!]);
      await run([['DEL', recordKey(id)], ...members]);
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
      const [records] = await run([['MGET', ...ids.map(recordKey)]]);
      return records as (Buffer | null)[];
    },
    async *all() {
      let cursor = '0';
      do {
        const [[next, keys]] = (await run([['SCAN', cursor, 'MATCH', `${prefix}i*`, 'COUNT', '1000']])) as [
          [Buffer, Buffer[]],
        ];
        cursor = next.toString();
        if (keys.length === 0) continue;
        const [records] = (await run([['MGET', ...keys]])) as [(Buffer | null)[]];
        for (const record of records) if (record) yield record;
      } while (cursor !== '0');
    },
  };
}

type Command = readonly [name: string, ...args: (string | Buffer)[]];
