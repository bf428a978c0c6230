/** What a test has of a container engine of its own. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface EngineUser {
  /** What makes the engine's command, and panamax, use this engine. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs the engine's command and returns what it prints. */
  readonly command: (...args: readonly string[]) => Promise<string>;
}

export function commandOf(program: string, env: NodeJS.ProcessEnv): EngineUser['command'] {
  return async (...args) =>
    (await promisify(execFile)(program, args, { env, maxBuffer: 64 * 1024 ** 2 })).stdout.trim();
}
