import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { PanamaxError } from '../lib/errors.ts';
import { findProgram } from '../test/support/programs.ts';

/** Resources used by a program, including its threads and children. */
export interface Usage {
  readonly wallSeconds: number;
  /** Sum of user and system time. */
  readonly cpuSeconds: number;
  /** Largest resident set of a single process, in bytes. */
  readonly peakMemory: number;
}

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

/** Measures programs by GNU time, since Node has the resource usage of all children as a sum only. */
export type Measure = (command: CommandLine, signal?: AbortSignal) => Promise<Usage>;

const MAX_COMPLAINT = 4096;

/**
 * @param usageFile file that each measurement overwrites
 * @param env additional environment of the measured programs
 * @throws PanamaxError `not-found` without GNU time; the returned function throws `internal` if a program fails
 */
export function createMeasure(usageFile: string, env: Readonly<Record<string, string>> = {}): Measure {
  const time = findProgram('time');
  if (time === undefined) {
    throw new PanamaxError('not-found', 'no program to measure with', {
      expected: 'GNU time in PATH (Debian package time)',
    });
  }
  return async ([program, ...args], signal) => {
    const path = findProgram(program) ?? program;
    const options = ['--quiet', '--format=%U %S %M', `--output=${usageFile}`];
    await rm(usageFile, { force: true });
    const started = performance.now();
    await run([time, ...options, path, ...args], { ...process.env, ...env }, signal);
    const milliseconds = Math.round(performance.now() - started);
    const [user, system, kibibytes] = (await readFile(usageFile, 'utf8')).trim().split(' ').map(Number);
    return {
      wallSeconds: milliseconds / 1000,
      cpuSeconds: Math.round((user! + system!) * 100) / 100,
      peakMemory: kibibytes! * 1024,
    };
  };
}

/** Runs a program to its end, in a process group, so that an abort also stops its children. */
async function run(
  [program, ...args]: CommandLine,
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  const child = spawn(program, args, { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const stop = () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  let complaint = '';
  child.stderr.on('data', (piece: Buffer) => (complaint = (complaint + piece).slice(-MAX_COMPLAINT)));
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (status === 0) return;
    throw new PanamaxError('internal', `exit status ${status}`, { found: complaint.trim() || 'no message' });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
