/** Runs the panamax command with crashshim.c in front of libc, which kills it or fails a call at a given point. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../bin/panamax.ts', import.meta.url));
const SHIM = fileURLToPath(new URL('./crashshim.c', import.meta.url));

/** What happens at the point: death of the process, or an error number of Linux. */
export const ACTIONS = { kill: 'kill', EIO: '5', ENOSPC: '28' } as const;
export type CrashAction = keyof typeof ACTIONS;

export interface Crashed {
  /** null for a killed process. */
  readonly code: number | null;
  readonly stderr: string;
  /** Calls in the whole run; undefined for a killed process. */
  readonly count: number | undefined;
}

/** Compiles the library into a directory. @returns its path */
export function buildCrashShim(directory: string): string {
  const library = join(directory, 'crashshim.so');
  execFileSync('cc', ['-Wall', '-Werror', '-shared', '-fPIC', '-O1', '-o', library, SHIM, '-ldl']);
  return library;
}

/** Runs a command in a directory. Calls count that change files below it. Without a point all calls succeed. */
export async function panamaxAt(
  library: string,
  directory: string,
  args: readonly string[],
  point?: { readonly number: number; readonly action: CrashAction },
): Promise<Crashed> {
  const counted = join(directory, '..', `count-${process.pid}-${++runs}`);
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      LD_PRELOAD: library,
      CRASH_ROOT: directory,
      CRASH_COUNT: counted,
      ...(point && { CRASH_POINT: String(point.number), CRASH_ACTION: ACTIONS[point.action] }),
    },
  });
  const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
  const count = await readFile(counted, 'utf8').catch(() => undefined);
  return { code: child.exitCode, stderr, count: count === undefined ? undefined : Number(count) };
}

let runs = 0;
