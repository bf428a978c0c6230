/** Starts a containerd for one test. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDaemon } from './daemon.ts';
import type { Scope } from './scope.ts';
import { commandOf, type EngineUser } from './engineuser.ts';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const socket = (directory: string) => join(directory, 'socket');

export async function startContainerd(scope: Scope): Promise<EngineUser> {
  const daemon = await startDaemon(scope, {
    command: 'containerd',
    args(port, directory) {
      const config = join(directory, 'config.toml');
      const lines = [
        'version = 2',
        `root = ${JSON.stringify(join(directory, 'root'))}`,
        `state = ${JSON.stringify(join(directory, 'state'))}`,
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        `[grpc]\naddress = ${JSON.stringify(socket(directory))}`,
        `[metrics]\naddress = "127.0.0.1:${port}"`,
      ];
      writeFileSync(config, `${lines.join('\n')}\n`);
      return ['--config', config];
    },
    async ping(port) {
      await (await fetch(`http://127.0.0.1:${port}/v1/metrics`)).arrayBuffer();
    },
  });
  const env = {
    ...process.env,
    CONTAINERD_ADDRESS: socket(daemon.directory),
    CONTAINERD_NAMESPACE: 'panamax-test',
    CONTAINERD_SNAPSHOTTER: 'native',
  };
  await promisify(execFile)('ctr', ['version'], { env });
  return { env, command: commandOf('ctr', env) };
}
