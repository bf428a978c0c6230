import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PanamaxError } from '../../errors.ts';

/** What an engine may print: an inspection of some thousand images. */
const MAX_OUTPUT = 256 * 1024 ** 2;
const MAX_COMPLAINT = 64 * 1024;
const MISSING =
  /no such image|image not known|image not found|reference does not exist|: not found|does not resolve/i;

/** Runs an engine's command and returns what it prints. @throws PanamaxError `not-found`, `limit`, `io` */
export type Run = (...args: readonly string[]) => Promise<Buffer>;

export interface EngineOptions {
  /** Ends what the command is about. */
  readonly signal?: AbortSignal;
  /** By default the process's own. */
  readonly env?: NodeJS.ProcessEnv;
}

export function engineCommand(program: string, { signal, env }: EngineOptions = {}): Run {
  return async (...args) => {
    signal?.throwIfAborted();
    const where = `${program} ${args.slice(0, 2).join(' ')}`;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(signal && { signal }),
      ...(env && { env }),
    });
    const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
    const reading = Promise.all([gather(child.stdout, MAX_OUTPUT), gather(child.stderr, MAX_COMPLAINT)]);
    try {
      const [[output, complaint], [code, killedBy]] = await Promise.all([reading, closed]);
      if (code !== 0) throw failure(complaint, code ?? killedBy ?? '', where);
      if (output.length < MAX_OUTPUT) return output;
      throw new PanamaxError('limit', 'the engine prints too much', {
        expected: `under ${MAX_OUTPUT} bytes`,
        where,
      });
    } catch (error) {
      await Promise.allSettled([reading, closed]);
      signal?.throwIfAborted();
      if (error instanceof PanamaxError) throw error;
      throw new PanamaxError('io', `the engine's command cannot be run: ${(error as Error).message}`, {
        where,
      });
    }
  };
}

/** Reads to the end and keeps the beginning. */
async function gather(stream: AsyncIterable<Buffer>, most: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece.subarray(0, most - size));
    size += pieces.at(-1)!.length;
  }
  return Buffer.concat(pieces);
}

function failure(complaint: Buffer, ended: number | string, where: string): PanamaxError {
  const text = complaint.toString().trim() || `ended with ${ended}`;
  return new PanamaxError(MISSING.test(text) ? 'not-found' : 'io', `the engine refuses: ${text}`, { where });
}
