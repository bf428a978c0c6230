/**
 * Programs and rights that a test needs. A suite without them is skipped, and named at the end of the run by skips.ts;
 * with CI=true its file fails instead. With FAST_TESTS=1 every suite that needs a program is skipped.
 */
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

/** For a test's `skip` option: false when all programs are installed, else the reason. */
export function missing(...programs: string[]): string | false {
  if (process.env['FAST_TESTS']) return `needs ${programs.join(', ')}, not in a fast run`;
  const absent = programs.filter((program) => !findProgram(program));
  return unless(absent.length === 0, `needs ${absent.join(', ')}`);
}

/** For a test's `skip` option: false when this process may make devices and change owners. */
export function notRoot(): string | false {
  return unless(process.getuid?.() === 0, 'needs root');
}

/**
 * For a test's `skip` option: false when the machine has the capability that the reason names.
 * @throws {Error} with CI=true, when it has not
 */
export function unless(capable: boolean, reason: string): string | false {
  if (capable) return false;
  if (process.env['CI'] && !process.env['FAST_TESTS']) throw new Error(`${reason}: in CI no test is skipped`);
  return reason;
}

/** Path of a program in PATH or in the directory of `go install`. */
export function findProgram(program: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  directories.push(join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin'));
  return directories.map((directory) => resolve(directory, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
