/** The programs that tests need: missing ones skip a test loudly, but fail it where CI is set. */
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** For a test's `skip` option: false when all programs are there, else the reason. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => !findProgram(program));
  return absent.length > 0 && needed(`needs ${absent.join(', ')}`);
}

/** For a test's `skip` option: false when this process may make devices and change owners. */
export function notRoot(): string | false {
  return process.getuid?.() !== 0 && needed('needs root');
}

/** Where a program is: in PATH, or where `go install` puts it. */
export function findProgram(program: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  directories.push(join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin'));
  return directories.map((directory) => join(directory, program)).find(isExecutable);
}

function needed(reason: string): string {
  if (process.env['CI']) throw new Error(`${reason}, and nothing may be skipped in CI`);
  return reason;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
