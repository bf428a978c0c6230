import { EXIT_CODES, toPanamaxError } from '../lib/errors.ts';
import { stirThreads } from '../lib/stir.ts';

/** Runs a benchmark on the command line's arguments; what it throws becomes a message and an exit code. */
export async function runCommand(main: (argv: readonly string[]) => Promise<void>): Promise<void> {
  stirThreads();
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const { kind, message, stack } = toPanamaxError(error);
    process.stderr.write(`${kind === 'internal' ? stack : message}\n`);
    process.exitCode = EXIT_CODES[kind];
  }
}
