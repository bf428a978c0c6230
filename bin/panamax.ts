#!/usr/bin/env node
import { stirThreads } from '../lib/runtime/footprint.ts';
import { EXIT_CODES, printable, toPanamaxError } from '../lib/errors.ts';
import { setRegistryOptions } from './options/registry.ts';
import { formatHelp, parseArguments, type Command } from './command.ts';
import { applyCommand } from './commands/apply.ts';
import { backfillCommand } from './commands/backfill.ts';
import { calibrateCommand } from './commands/calibrate.ts';
import { diffCommand } from './commands/diff.ts';
import { enqueueCommand } from './commands/enqueue.ts';
import { gcCommand } from './commands/gc.ts';
import { indexCommand } from './commands/index.ts';
import { inspectCommand } from './commands/inspect.ts';
import { publishCommand } from './commands/publish.ts';
import { planCommand } from './commands/plan.ts';
import { keygenCommand } from './commands/keygen.ts';
import { pullCommand } from './commands/pull.ts';
import { rankCommand } from './commands/rank.ts';
import { similarCommand } from './commands/similar.ts';
import { statusCommand } from './commands/status.ts';
import { tagCommand } from './commands/tag.ts';
import { workerCommand } from './commands/worker.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  backfill: backfillCommand,
  enqueue: enqueueCommand,
  worker: workerCommand,
  status: statusCommand,
  diff: diffCommand,
  publish: publishCommand,
  apply: applyCommand,
  pull: pullCommand,
  tag: tagCommand,
  keygen: keygenCommand,
  rank: rankCommand,
  similar: similarCommand,
  index: indexCommand,
  plan: planCommand,
  calibrate: calibrateCommand,
  gc: gcCommand,
  inspect: inspectCommand,
};

const HELP = `panamax ships container images as small patches instead of full pulls.

Usage: panamax COMMAND [options]

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`)
  .join('\n')}

IMAGE is docker://HOST/REPO[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG],
docker-daemon:NAME, containers-storage:NAME, containerd:NAME or a path.
Exit codes: ${Object.entries(EXIT_CODES)
  .map(([kind, code]) => `${code} ${kind}`)
  .join(', ')}; 0 all well.
`;

async function main([name, ...argv]: readonly string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(HELP);
    process.exitCode = name === undefined ? EXIT_CODES.usage : 0;
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`panamax: unknown command ${printable(name)}\n\n${HELP}`);
    process.exitCode = EXIT_CODES.usage;
    return;
  }
  const stop = new AbortController();
  // the first signal lets what was begun be put away, the second ends the process
  for (const event of ['SIGINT', 'SIGTERM'] as const) {
    process.once(event, () => {
      stop.abort();
      process.once(event, () => process.exit(EXIT_CODES.interrupted));
    });
  }
  try {
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

stirThreads();
await main(process.argv.slice(2));
// What was begun has been put away by now. Left to itself the process would wait for handles that libraries forget, and
// Node 24 has been seen to spin for ever while it cleans up its own: a worker that has drained has to end. What was
// written is on its way before that, also where it goes through a pipe.
for (const stream of [process.stdout, process.stderr]) {
  await new Promise((resolve) => stream.write('', resolve));
}
process.exit();
