/** Starts a Docker engine for one test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { commandOf, type EngineUser } from './engineuser.ts';
import { atEnd, type Scope } from './scope.ts';

/** Runs the docker command against the engine and returns its output. */
export type Docker = (...args: readonly string[]) => Promise<string>;

/** Starts an engine without network; it ends with the test. */
export async function startEngine(t: TestContext): Promise<Docker> {
  return (await startDocker(t)).command;
}

export async function startDocker(scope: Scope): Promise<EngineUser> {
  const directory = await mkdtemp(join(tmpdir(), 'panamax-engine-'));
  const host = `unix://${join(directory, 'socket')}`;
  const options = {
    'data-root': join(directory, 'data'),
    'exec-root': join(directory, 'exec'),
    pidfile: join(directory, 'pid'),
    host,
    'storage-driver': 'vfs',
    bridge: 'none',
    iptables: 'false',
    ip6tables: 'false',
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const engine = spawn('dockerd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(engine, 'exit');
  atEnd(scope, async () => {
    engine.kill();
    await ended;
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface(engine.stderr)
      .on('line', (line) => {
        lines.push(line);
        if (line.includes('API listen on')) resolve();
      })
      .on('close', () => reject(new Error(`the engine does not start:\n${lines.join('\n')}`)));
  });
  const env = { ...process.env, DOCKER_HOST: host, DOCKER_CONFIG: directory };
  return { env, command: commandOf('docker', env) };
}
