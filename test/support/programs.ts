/** The programs that judge panamax in tests: missing ones skip a test loudly, but fail it where CI is set. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** For a test's `skip` option: false when all programs are there, else the reason. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => !isInstalled(program));
  return absent.length > 0 && needed(`needs ${absent.join(', ')}`);
}

/** For a test's `skip` option: false when this process may make devices and change owners. */
export function notRoot(): string | false {
  return process.getuid?.() !== 0 && needed('needs root');
}

function needed(reason: string): string {
  if (process.env['CI']) throw new Error(`${reason}, and nothing may be skipped in CI`);
  return reason;
}

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
