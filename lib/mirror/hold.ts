import { createServer } from 'node:net';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { PanamaxError } from '../errors.ts';
import { makeDirectories } from '../runtime/file.ts';

/**
 * Holds a state directory for this process: two mirrors would remove each other's blobs. A socket in Linux' abstract
 * namespace (unix(7)) stands for the directory, because it ends with its process, also after SIGKILL. Elsewhere nothing
 * is held.
 *
 * @throws PanamaxError `usage` if another process holds the directory
 */
export async function holdState(state: string): Promise<AsyncDisposable> {
  await makeDirectories(state, 0o700);
  const { dev, ino } = await stat(state);
  const server = createServer((socket) => socket.destroy());
  const ended = { [Symbol.asyncDispose]: async () => void server.close() };
  if (process.platform !== 'linux') return ended;
  const listening = once(server, 'listening');
  server.listen(`\0panamax-mirror-${dev}-${ino}`).unref();
  try {
    await listening;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new PanamaxError('usage', 'another mirror uses this state', {
      expected: '--state DIR of its own, or the end of the other mirror',
      found: state,
    });
  }
  return ended;
}
