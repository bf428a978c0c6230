/** Servers on a port of the loopback interface, for one test or one file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from './directory.ts';
import { findProgram } from './programs.ts';
import { freePort } from './port.ts';
import { atEnd, type Scope } from './scope.ts';

export interface Daemon {
  /** A restart keeps the port and the directory. */
  readonly port: number;
  readonly directory: string;
  readonly pid: number;
  /** Ends the process and waits until it is gone. SIGKILL leaves it no time to save its state. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the server again after `stop` and waits until it answers. */
  start(): Promise<void>;
}

export interface Program {
  readonly command: string;
  args(port: number, directory: string): readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Resolves when the server answers a request; rejects while it does not. */
  ping(port: number): Promise<void>;
}

const START_TIMEOUT = 60_000;
const ATTEMPTS = 5;

/** Starts a server on a free port in a new directory. The end of the scope stops it and removes the directory. */
export async function startDaemon(scope: Scope, program: Program): Promise<Daemon> {
  const directory = await temporaryDirectory(scope);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    let child: ChildProcess | undefined;
    try {
      child = await launch(program, port, directory);
    } catch (error) {
      // another process may have taken the port
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
      // another process may have answered on this port: then the new one is about to end
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
