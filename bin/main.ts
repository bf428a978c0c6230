import { EXIT_CODES, PanamaxError, printable, toPanamaxError } from '../lib/errors.ts';
import { keepThreadPoolAwake } from '../lib/runtime/footprint.ts';
import { checkArguments, parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { COMMANDS, loadCommands } from './commands.ts';
import { readConfig } from './config.ts';
import { formatHelp, formatOverview } from './help.ts';
import { setRegistryOptions } from './options/registry.ts';
import { findSimilar } from './suggestion.ts';

/** Other spellings of commands, as many programs have them. */
const SAME: ReadonlyMap<string, string> = new Map([
  ['--version', 'version'],
  ['-V', 'version'],
  ['--help', 'help'],
  ['-h', 'help'],
]);

async function run([first, ...argv]: readonly string[], signal: AbortSignal): Promise<void> {
  const name = SAME.get(first ?? '') ?? first ?? 'help';
  if (name === 'help') {
    const [about] = argv.filter((word) => !word.startsWith('-'));
    process.stdout.write(
      about === undefined ? formatOverview(await loadCommands()) : formatHelp(about, await load(about)),
    );
    if (first === undefined) process.exitCode = EXIT_CODES.usage;
    return;
  }
  const command = await load(name);
  const isHelp = argv.includes('--help') || argv.includes('-h');
  const config = isHelp ? undefined : await readConfig(name, command.options, loadCommands);
  const args = isHelp ? undefined : parseArguments(argv, command.options, process.env, config);
  if (!args || args.flag('help')) {
    process.stdout.write(formatHelp(name, command));
    return;
  }
  checkArguments(command, args);
  setRegistryOptions(args);
  await command.run(args, signal, loadCommands);
}

/** @throws PanamaxError `usage` for an unknown command */
function load(name: string): Promise<Command> {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name]!();
  const similar = findSimilar(name, Object.keys(COMMANDS));
  const hint = similar ? `did you mean ${similar}?` : 'panamax help lists the commands';
  throw new PanamaxError('usage', `unknown command ${printable(name)}; ${hint}`);
}

/**
 * Runs a command and reports its error, unless its output is lost. Sets the exit code of the process.
 *
 * @param isLost whether nobody reads the output any more
 */
export async function runCommand(
  argv: readonly string[],
  signal: AbortSignal,
  isLost: () => boolean = () => false,
): Promise<void> {
  try {
    await run(argv, signal);
  } catch (error) {
    if (!isLost()) report(error, argv);
  }
}

/** Prints an error on standard error, with --json as a document of one line (docs/json.md). */
function report(error: unknown, argv: readonly string[]): void {
  const { kind, message, facts, stack, cause } = toPanamaxError(error);
  const exitCode = EXIT_CODES[kind];
  process.exitCode = exitCode;
  if (argv.includes('--json')) {
    const { expected, found, where } = facts;
    const document = { version: 1, error: { kind, exitCode, message, expected, found, where } };
    process.stderr.write(`${JSON.stringify(document)}\n`);
    return;
  }
  const name = Object.hasOwn(COMMANDS, argv[0] ?? '') ? ` ${argv[0]!}` : '';
  process.stderr.write(`panamax${name}: ${message}\n`);
  if (kind === 'internal') process.stderr.write(`${cause instanceof Error ? cause.stack : stack}\n`);
}

/**
 * Runs a command, then ends the process. Left to itself the process would wait for handles that libraries forget, and
 * Node 24 has been seen to spin forever in its own clean-up.
 */
export async function main(argv: readonly string[]): Promise<void> {
  keepThreadPoolAwake();
  const stop = new AbortController();
  // the first signal aborts the command, which then cleans up; the second ends the process
  for (const event of ['SIGINT', 'SIGTERM'] as const) {
    process.once(event, () => {
      stop.abort();
      process.once(event, () => process.exit(EXIT_CODES.interrupted));
    });
  }
  let lost: NodeJS.ErrnoException | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    lost ??= error;
    stop.abort();
  });
  // without a reader of messages the exit code remains
  process.stderr.on('error', () => {});
  await runCommand(argv, stop.signal, () => lost !== undefined);
  // output to a pipe is asynchronous: exit only when it has been written
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise((resolve) => stream.write('', resolve));
  }
  // an error of the last write is emitted after its callback
  await new Promise(setImmediate);
  if (lost) loseOutput(lost, argv);
  process.exit();
}

/** A reader that closes its pipe, such as head, needs no message. */
function loseOutput({ code, message }: NodeJS.ErrnoException, argv: readonly string[]): void {
  process.exitCode = EXIT_CODES.io;
  if (code !== 'EPIPE') report(new PanamaxError('io', message, { where: 'standard output' }), argv);
}
