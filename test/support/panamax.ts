/** Runs the panamax command in a process of its own. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { EXIT_CODES, type ErrorKind } from '../../lib/errors.ts';

export const MAIN = fileURLToPath(new URL('../../bin/panamax.ts', import.meta.url));

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the command as the leader of a process group. */
export function startPanamax(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
}

export async function panamax(...args: readonly string[]): Promise<Result> {
  return panamaxWith(process.env, ...args);
}

export async function panamaxWith(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Result> {
  const child = startPanamax(args, env);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

/** Runs a command that must succeed, and parses its JSON output. */
export async function panamaxJson<Document>(...args: readonly string[]): Promise<Document> {
  return parseResult<Document>(await panamax(...args, '--json'));
}

/** Runs a command that must fail with the exit code of `kind` and a message that matches, without a stack trace. */
export async function panamaxFails(kind: ErrorKind, what: RegExp, ...args: readonly string[]): Promise<void> {
  assertFailed(await panamax(...args), kind, what);
}

/** The JSON output of a command that has succeeded. */
export function parseResult<Document>({ code, stdout, stderr }: Result): Document {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Document;
}

export function assertFailed({ code, stdout, stderr }: Result, kind: ErrorKind, what: RegExp): void {
  assert.equal(code, EXIT_CODES[kind], stderr || stdout);
  assert.match(stderr, what);
  assert.doesNotMatch(stderr, /^\s+at /m, 'a stack trace');
}
