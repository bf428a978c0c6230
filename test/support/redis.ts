/** Starts a Redis for one test, configured as operations.md requires. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { startDaemon, type Daemon } from './daemon.ts';
import type { Scope } from './scope.ts';

export interface Redis extends Daemon {
  readonly url: string;
  /** Runs one command and returns the first line of the answer in protocol form: `+OK`, `:3`. */
  command(...words: readonly string[]): Promise<string>;
  /** Deletes all keys. */
  wipe(): Promise<void>;
}

export async function startRedis(scope: Scope): Promise<Redis> {
  const daemon = await startDaemon(scope, {
    command: 'redis-server',
    args: (port, directory) =>
      Object.entries({
        '--bind': '127.0.0.1',
        '--port': String(port),
        '--dir': directory,
        '--appendonly': 'yes',
        // a write is on disk before the answer, so that a killed server loses nothing
        '--appendfsync': 'always',
        '--save': '',
        '--maxmemory-policy': 'noeviction',
      }).flat(),
    async ping(port) {
      const answer = await redisCommand(port, ['PING']);
      if (answer !== '+PONG') throw new Error(answer);
    },
  });
  const command = (...words: readonly string[]) => redisCommand(daemon.port, words);
  return Object.defineProperties(
    {
      url: `redis://127.0.0.1:${daemon.port}`,
      command,
      async wipe() {
        await command('FLUSHALL');
      },
    },
    Object.getOwnPropertyDescriptors(daemon),
  ) as Redis;
}

async function redisCommand(port: number, words: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join('')}`);
    let answer = '';
    for await (const piece of socket) {
      answer += String(piece);
      if (answer.includes('\r\n')) return answer.slice(0, answer.indexOf('\r\n'));
    }
    throw new Error('no answer');
  } finally {
    socket.destroy();
  }
}
