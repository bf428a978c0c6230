/** Programs that listen on a port of the loopback, for a test or a file of them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from './directory.ts';
import { findProgram } from './programs.ts';
import { freePort } from './port.ts';
import { atEnd, type Scope } from './scope.ts';

export interface Daemon {
  /** The same after a restart, as is the directory. */
  readonly port: number;
  readonly directory: string;
  readonly pid: number;
  /** Ends the process and waits for that. With SIGKILL it has no time to put anything away. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after a `stop` and waits until it serves. */
  start(): Promise<void>;
}

export interface Program {
  readonly command: string;
  args(port: number, directory: string): readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Resolves when a request is answered, and rejects where there is none yet. */
  ping(port: number): Promise<void>;
}

const START_TIMEOUT = 60_000;
const ATTEMPTS = 5;

/** Starts a program on a free port in a directory of its own; both go with the scope. */
export async function startDaemon(scope: Scope, program: Program): Promise<Daemon> {
  const directory = await temporaryDirectory(scope);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    let child: ChildProcess | undefined;
    try {
      child = await launch(program, port, directory);
    } catch (error) {
      // somebody may have taken the port in between
      if (attempt === ATTEMPTS) throw error;
      continue;
    }
    const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
      const running = child;
      child = undefined;
      if (running) await end(running, signal);
    };
    atEnd(scope, () => stop('SIGKILL'));
    return {
      port,
      directory,
      get pid() {
        if (child?.pid === undefined) throw new Error(`${program.command} is stopped`);
        return child.pid;
      },
      stop,
      async start() {
        child ??= await launch(program, port, directory);
      },
    };
  }
}

async function launch(program: Program, port: number, directory: string): Promise<ChildProcess> {
  const path = findProgram(program.command);
  if (!path) throw new Error(`no ${program.command}`);
  const child = spawn(path, program.args(port, directory), {
    cwd: directory,
    env: { ...process.env, ...program.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => output.push(data));
  child.stderr.on('data', (data: Buffer) => output.push(data));
  const said = () => Buffer.concat(output).toString();
  let failure: Error | undefined;
  child.once('error', (error) => (failure = error));
  child.once('exit', (code, signal) => {
    failure ??= new Error(`${program.command} ended with ${code ?? signal}:\n${said()}`);
  });
  for (const deadline = Date.now() + START_TIMEOUT; ;) {
    try {
      await program.ping(port);
      // what answers may be another process on this port: then ours is about to end
      if (!failure) return child;
    } catch (error) {
      failure ??=
        Date.now() > deadline ? new Error(`${program.command}: ${said()}`, { cause: error }) : failure;
    }
    if (failure) {
      await end(child, 'SIGKILL');
      throw failure;
    }
    await delay(20);
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}
