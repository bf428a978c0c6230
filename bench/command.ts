import { keepThreadPoolAwake } from '../lib/runtime/footprint.ts';
import { EXIT_CODES, PanamaxError, toPanamaxError } from '../lib/errors.ts';

/** Runs a benchmark with the arguments of the command line. An error becomes a message and an exit code. */
export async function runCommand(main: (argv: readonly string[]) => Promise<void>): Promise<void> {
  keepThreadPoolAwake();
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    const { kind, message, stack } = isMisuse(error)
      ? new PanamaxError('usage', error.message)
      : toPanamaxError(error);
    process.stderr.write(`${kind === 'internal' ? stack : message}\n`);
    process.exitCode = EXIT_CODES[kind];
  }
}

/** Whether an error is one of `parseArgs`. */
function isMisuse(error: unknown): error is Error {
  const code = error instanceof Error && (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
}
