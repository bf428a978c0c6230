/** Judges that not every machine can have: their absence skips a test, also in CI, and says so. */
import { spawnSync } from 'node:child_process';

/** For a test's `skip` option: false when all programs are there, else the reason. */
export function optional(...programs: string[]): string | false {
  const absent = programs.filter((program) => spawnSync('which', [program]).status !== 0);
  return absent.length > 0 && `SKIPPED: no ${absent.join(', ')} in PATH; test/judge builds oci-delta-judge`;
}
