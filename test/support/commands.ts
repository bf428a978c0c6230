/**
 * Runs panamax commands in a process that has run others before, which takes a fifth of the time of a new process. The
 * functions have the names of those in panamax.ts, which start a process for each command. Tests use those for kills,
 * for files that a process leaves to the next one, and at least once for each feature.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ErrorKind } from '../../lib/errors.ts';
import { assertFailed, parseResult, type Result } from './panamax.ts';
import { atEnd, fileScope } from './scope.ts';

export interface Order {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

const HOST = fileURLToPath(new URL('commandhost.ts', import.meta.url));
const scope = fileScope();
/** Processes that wait for a command. */
const idle: ChildProcess[] = [];

function startHost(): ChildProcess {
  const host = fork(HOST, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  atEnd(scope, async () => {
    if (host.exitCode !== null || host.signalCode !== null) return;
    const ended = once(host, 'exit');
    host.kill('SIGKILL');
    await ended;
  });
  return host;
}

export async function panamax(...args: readonly string[]): Promise<Result> {
  return panamaxWith(process.env, ...args);
}

export async function panamaxWith(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Result> {
  const host = idle.pop() ?? startHost();
  const ended = new AbortController();
  const answer = once(host, 'message', { signal: ended.signal }) as Promise<[Result]>;
  const fail = () => ended.abort(new Error(`the process of panamax ${args.join(' ')} has ended`));
  host.once('exit', fail);
  host.send({ args, env } satisfies Order);
  const [result] = await answer;
  host.off('exit', fail);
  idle.push(host);
  return result;
}

/** Runs a command that must succeed, and parses its JSON output. */
export async function panamaxJson<Document>(...args: readonly string[]): Promise<Document> {
  return parseResult<Document>(await panamax(...args, '--json'));
}

/** Runs a command that must fail with the exit code of `kind` and a message that matches, without a stack trace. */
export async function panamaxFails(kind: ErrorKind, what: RegExp, ...args: readonly string[]): Promise<void> {
  assertFailed(await panamax(...args), kind, what);
}
