/** Main of a process that runs panamax commands, one at a time, for commands.ts. */
import { runCommand } from '../../bin/main.ts';
import type { Order } from './commands.ts';
import type { Result } from './panamax.ts';

/** Collects the output of a stream in place of its file. */
function capture(stream: NodeJS.WriteStream): { take(): string } {
  const pieces: Buffer[] = [];
  stream.write = (
    piece: string | Uint8Array,
    encoding?: BufferEncoding | ((error?: Error | null) => void),
    done?: (error?: Error | null) => void,
  ) => {
    pieces.push(
      typeof piece === 'string'
        ? Buffer.from(piece, typeof encoding === 'string' ? encoding : 'utf8')
        : Buffer.from(piece),
    );
    const written = typeof encoding === 'function' ? encoding : done;
    if (written) process.nextTick(written);
    return true;
  };
  return { take: () => Buffer.concat(pieces.splice(0)).toString() };
}

const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)];

async function run({ args, env }: Order): Promise<Result> {
  // libuv reads the variables of the process, so that another object in place of process.env would not do
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  await runCommand(args, new AbortController().signal);
  const code = Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { code, stdout: stdout.take(), stderr: stderr.take() };
}

process.on('message', (order: Order) => void run(order).then((result) => process.send!(result)));
process.on('disconnect', () => process.exit());
