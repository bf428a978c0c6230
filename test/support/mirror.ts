/** Runs `panamax mirror` in a process of its own. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join, relative } from 'node:path';
import { startPanamax } from './panamax.ts';
import { freePort } from './port.ts';
import { atEnd, type Scope } from './scope.ts';

export interface LogLine {
  readonly msg: string;
  readonly name?: string;
  readonly way?: string;
  readonly reason?: string;
  readonly reasons?: readonly string[];
}

export interface RunningMirror {
  /** `127.0.0.1:PORT`; a restart keeps it. */
  readonly host: string;
  readonly url: string;
  /** All lines so far, over restarts. */
  readonly log: readonly LogLine[];
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after `stop`. */
  start(): Promise<void>;
}

/** Starts a mirror whose state is below a directory. It ends with the scope. */
export async function startMirror(
  scope: Scope,
  directory: string,
  ...options: readonly string[]
): Promise<RunningMirror> {
  const port = await freePort();
  const log: LogLine[] = [];
  // relative, since a service may be started so
  const state = relative(process.cwd(), join(directory, 'mirror'));
  const places = ['--state', state, '--listen', String(port)];
  let child: ReturnType<typeof startPanamax> | undefined;

  async function start(): Promise<void> {
    const started = startPanamax(['mirror', ...options, ...places]);
    child = started;
    await new Promise<void>((resolve, reject) => {
      const said: string[] = [];
      createInterface(started.stderr)
        .on('line', (line) => {
          said.push(line);
          if (!line.startsWith('{')) return;
          const entry = JSON.parse(line) as LogLine;
          log.push(entry);
          if (entry.msg === 'listening') resolve();
        })
        .on('close', () => reject(new Error(`the mirror has ended:\n${said.join('\n')}`)));
    });
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const exit = once(running, 'exit');
    running.kill(signal);
    await exit;
  }

  atEnd(scope, () => stop('SIGKILL'));
  await start();
  const host = `127.0.0.1:${port}`;
  return {
    host,
    url: `http://${host}`,
    log,
    stop,
    start,
    get pid() {
      return child!.pid!;
    },
  };
}
