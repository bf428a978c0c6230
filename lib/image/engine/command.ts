import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PanamaxError } from '../../errors.ts';

/** Maximum output in bytes: an inspection of some thousand images. */
const MAX_OUTPUT = 256 * 1024 ** 2;
const MAX_ERROR_OUTPUT = 64 * 1024;
/** Messages of docker, podman and ctr about a missing image. */
const MISSING =
  /no such image|image not known|image not found|reference does not exist|: not found|does not resolve/i;

/** Runs an engine's command and returns its output. @throws PanamaxError `not-found`, `limit`, `io` */
export type Run = (...args: readonly string[]) => Promise<Buffer>;

export interface EngineOptions {
  /** Kills the command. */
  readonly signal?: AbortSignal;
  /** By default that of this process. */
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
    const reading = Promise.all([gather(child.stdout, MAX_OUTPUT), gather(child.stderr, MAX_ERROR_OUTPUT)]);
    try {
      const [[output, errorOutput], [code, killedBy]] = await Promise.all([reading, closed]);
      if (code !== 0) throw failure(errorOutput, code ?? killedBy ?? '', where);
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

/** Reads a stream to its end and returns its first `most` bytes. */
async function gather(stream: AsyncIterable<Buffer>, most: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece.subarray(0, most - size));
    size += pieces.at(-1)!.length;
  }
  return Buffer.concat(pieces);
}

function failure(errorOutput: Buffer, ended: number | string, where: string): PanamaxError {
  const text = errorOutput.toString().trim() || `ended with ${ended}`;
  return new PanamaxError(MISSING.test(text) ? 'not-found' : 'io', `the engine refuses: ${text}`, { where });
}
