#!/usr/bin/env node
import { EXIT_CODES, printable, toPanamaxError } from '../lib/errors.ts';
import { keepThreadPoolAwake } from '../lib/runtime/footprint.ts';
import { formatHelp, parseArguments, type Command } from './command.ts';
import { setRegistryOptions } from './options/registry.ts';

/** Commands in the order of the help. Each is loaded when it is needed: all of them take as long as most commands. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  backfill: async () => (await import('./commands/backfill.ts')).backfillCommand,
  enqueue: async () => (await import('./commands/enqueue.ts')).enqueueCommand,
  worker: async () => (await import('./commands/worker.ts')).workerCommand,
  status: async () => (await import('./commands/status.ts')).statusCommand,
  diff: async () => (await import('./commands/diff.ts')).diffCommand,
  publish: async () => (await import('./commands/publish.ts')).publishCommand,
  apply: async () => (await import('./commands/apply.ts')).applyCommand,
  pull: async () => (await import('./commands/pull.ts')).pullCommand,
  mirror: async () => (await import('./commands/mirror.ts')).mirrorCommand,
  tag: async () => (await import('./commands/tag.ts')).tagCommand,
  keygen: async () => (await import('./commands/keygen.ts')).keygenCommand,
  rank: async () => (await import('./commands/rank.ts')).rankCommand,
  similar: async () => (await import('./commands/similar.ts')).similarCommand,
  index: async () => (await import('./commands/index.ts')).indexCommand,
  plan: async () => (await import('./commands/plan.ts')).planCommand,
  calibrate: async () => (await import('./commands/calibrate.ts')).calibrateCommand,
  check: async () => (await import('./commands/check.ts')).checkCommand,
  gc: async () => (await import('./commands/gc.ts')).gcCommand,
  inspect: async () => (await import('./commands/inspect.ts')).inspectCommand,
};

async function help(): Promise<string> {
  const lines = Object.entries(COMMANDS).map(
    async ([name, load]) => `  ${name.padEnd(10)} ${(await load()).summary}`,
  );
  return `panamax ships container images as small patches instead of full pulls.

Usage: panamax COMMAND [options]

${(await Promise.all(lines)).join('\n')}

IMAGE is docker://HOST/REPO[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG],
docker-daemon:NAME, containers-storage:NAME, containerd:NAME or a path.
Exit codes: ${Object.entries(EXIT_CODES)
    .map(([kind, code]) => `${code} ${kind}`)
    .join(', ')}; 0 success.
`;
}

async function run([name, ...argv]: readonly string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(await help());
    process.exitCode = name === undefined ? EXIT_CODES.usage : 0;
    return;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    process.stderr.write(`panamax: unknown command ${printable(name)}\n\n${await help()}`);
    process.exitCode = EXIT_CODES.usage;
    return;
  }
  const stop = new AbortController();
  // the first signal aborts the command, which then cleans up; the second ends the process
  for (const event of ['SIGINT', 'SIGTERM'] as const) {
    process.once(event, () => {
      stop.abort();
      process.once(event, () => process.exit(EXIT_CODES.interrupted));
    });
  }
  try {
    const command = await load();
    const args = parseArguments(argv, command.options);
    if (args.flag('help')) process.stdout.write(formatHelp(name, command));
    else {
      setRegistryOptions(args);
      await command.run(args, stop.signal);
    }
  } catch (error) {
    const { kind, message, stack, cause } = toPanamaxError(error);
    process.stderr.write(`panamax ${name}: ${message}\n`);
    if (kind === 'internal') process.stderr.write(`${cause instanceof Error ? cause.stack : stack}\n`);
    process.exitCode = EXIT_CODES[kind];
  }
}

/**
 * Runs a command, then ends the process. Left to itself the process would wait for handles that libraries forget, and
 * Node 24 has been seen to spin forever in its own clean-up.
 */
async function main(argv: readonly string[]): Promise<void> {
  keepThreadPoolAwake();
  await run(argv);
  // output to a pipe is asynchronous: exit only when it has been written
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise((resolve) => stream.write('', resolve));
  }
  process.exit();
}

// no top-level await: a single-file build is a CommonJS script
void main(process.argv.slice(2));
