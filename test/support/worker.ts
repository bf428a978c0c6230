/** Workers on a queue, in the process of the test or in their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import type { RunRequest } from '../../lib/run/request.ts';
import { createStatusReader, type RunStatus } from '../../lib/run/status.ts';
import { STAGES } from '../../lib/run/stage.ts';
import type { Store } from '../../lib/store/objects/store.ts';
import type { AttemptEvent } from '../../workers/dispatch.ts';
import { runWorker, type WorkerOptions } from '../../workers/worker.ts';
import { atEnd, type Scope } from './scope.ts';

/** Settings under which a dead worker is noticed sooner than in production. */
export const QUICK = {
  // no number of kills fails a job
  locks: { lockDuration: 3000, stalledInterval: 1000, maxStalled: 1000 },
  jobs: { attempts: 8, backoff: 200 },
} as const;

export interface WorkerSettings extends Omit<
  WorkerOptions,
  'store' | 'log' | 'onAttempt' | 'onReady' | 'handlers'
> {
  readonly store: string;
  /** A worker that begins to read an image of this name is killed. */
  readonly poison?: string;
}

export interface LocalWorker {
  /** Results of the attempts so far. */
  readonly events: AttemptEvent[];
  stop(): Promise<void>;
}

/** Starts a worker in the process of the test; it ends with the scope. */
export async function startLocalWorker(
  scope: Scope,
  options: Pick<WorkerOptions, 'redis' | 'store'> & Partial<WorkerOptions> & { directory: string },
): Promise<LocalWorker> {
  const scratch = await mkdtemp(join(options.directory, 'scratch-'));
  const stop = new AbortController();
  const events: AttemptEvent[] = [];
  const running = runWorker(
    {
      stages: STAGES,
      concurrency: 2,
      limits: DEFAULT_LIMITS,
      grace: 60_000,
      scratch,
      log: { info() {}, warn() {} },
      onAttempt: (event) => events.push(event),
      ...QUICK,
      ...options,
    },
    stop.signal,
  );
  const end = async () => {
    stop.abort();
    await running;
  };
  atEnd(scope, end);
  return { events, stop: end };
}

export interface WorkerProcess {
  readonly pid: number;
  /** Output so far. */
  readonly output: () => string;
  /** Sends SIGKILL by default and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  readonly ended: Promise<unknown>;
  isRunning(): boolean;
}

const MAIN = fileURLToPath(new URL('workermain.ts', import.meta.url));

export function startWorkerProcess(
  scope: Scope,
  settings: Pick<WorkerSettings, 'redis' | 'store' | 'scratch'> & Partial<WorkerSettings>,
  environment: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): WorkerProcess {
  const all: WorkerSettings = {
    stages: STAGES,
    concurrency: 1,
    limits: DEFAULT_LIMITS,
    grace: 60_000,
    ...QUICK,
    ...settings,
  };
  const [command, ...args] = [...wrapper, process.execPath, MAIN, JSON.stringify(all)] as const;
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const exit = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const end = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await exit;
    }
    return child.exitCode;
  };
  atEnd(scope, () => end());
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return { pid: child.pid!, output: () => output, end, ended: exit, isRunning };
}

const GIVE_UP = 300_000;
/** Interval between polls in milliseconds: grows, because most conditions read a store. */
const FIRST_POLL = 20;
const LAST_POLL = 300;

/** Waits until the run's record in the store is complete. */
export async function finishedRun(store: Store, run: string): Promise<RunStatus> {
  return until(await createStatusReader(store, run), ({ finished }) => finished !== undefined);
}

/** Polls until the condition holds. Rejects with the last value after five minutes. */
export async function until<T>(look: () => Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  const deadline = Date.now() + GIVE_UP;
  for (let wait = FIRST_POLL; ; wait = Math.min(LAST_POLL, 1.25 * wait)) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(seen)}`);
    await delay(wait);
  }
}

/** A plan in which the images are each other's sources. */
export function planOf(
  directory: string,
  names: readonly string[],
  plan: Partial<RunRequest> & { readonly sources?: readonly string[] } = {},
): RunRequest {
  const { sources = names, ...rest } = plan;
  const references = (list: readonly string[]) => list.map((name) => join(directory, name));
  return {
    id: 'run',
    started: new Date().toISOString(),
    targets: references(names),
    residents: [{ images: references(sources) }],
    top: 1,
    formats: ['xdelta'],
    effort: 'fast',
    ...rest,
  };
}
