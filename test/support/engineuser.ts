/** A container engine that a test has for itself. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface EngineUser {
  /** Environment in which the engine's command and panamax use this engine. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs the engine's command and returns its output. */
  readonly command: (...args: readonly string[]) => Promise<string>;
}

export function commandOf(program: string, env: NodeJS.ProcessEnv): EngineUser['command'] {
  return async (...args) =>
    (await promisify(execFile)(program, args, { env, maxBuffer: 64 * 1024 ** 2 })).stdout.trim();
}
