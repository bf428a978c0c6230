/** Starts a containerd for one test. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startDaemon } from './daemon.ts';
import { commandOf, type EngineUser } from './engineuser.ts';
import { findProgram } from './programs.ts';
import type { Scope } from './scope.ts';

const CRI = 'io.containerd.grpc.v1.cri';

const socket = (directory: string) => join(directory, 'socket');

/** A containerd without CRI, driven by `ctr`. */
export async function startContainerd(scope: Scope): Promise<EngineUser> {
  const address = await startProgram(scope, 'containerd');
  const env = {
    ...process.env,
    CONTAINERD_ADDRESS: address,
    CONTAINERD_NAMESPACE: 'panamax-test',
    CONTAINERD_SNAPSHOTTER: 'native',
  };
  await promisify(execFile)('ctr', ['version'], { env });
  return { env, command: commandOf('ctr', env) };
}

/**
 * A containerd driven by its CRI, as the kubelet does; the command is that of test/judge/cri.
 *
 * @param program name of the daemon: `containerd`, or `containerd2` from test/judge/cri
 * @param hosts directory of hosts.toml files
 */
export async function startCri(scope: Scope, program: string, hosts: string): Promise<EngineUser> {
  const address = await startProgram(scope, program, hosts);
  const env = { ...process.env, CRI_SOCKET: address };
  return { env, command: commandOf(findProgram('cri-judge')!, env) };
}

/**
 * @param hosts of CRI, which is off without them
 * @returns the path of the socket
 */
async function startProgram(scope: Scope, command: string, hosts?: string): Promise<string> {
  const { directory } = await startDaemon(scope, {
    command,
    args(port, directory) {
      const config = join(directory, 'config.toml');
      const lines = [
        // containerd 2 reads this version, too
        'version = 2',
        `root = ${JSON.stringify(join(directory, 'root'))}`,
        `state = ${JSON.stringify(join(directory, 'state'))}`,
        `disabled_plugins = ${JSON.stringify(hosts === undefined ? [CRI] : [])}`,
        `[grpc]\naddress = ${JSON.stringify(socket(directory))}`,
        `[metrics]\naddress = "127.0.0.1:${port}"`,
        `[plugins."${CRI}".containerd]\nsnapshotter = "native"`,
        `[plugins."${CRI}".registry]\nconfig_path = ${JSON.stringify(hosts ?? '')}`,
      ];
      writeFileSync(config, `${lines.join('\n')}\n`);
      return ['--config', config];
    },
    async ping(port) {
      await (await fetch(`http://127.0.0.1:${port}/v1/metrics`)).arrayBuffer();
    },
  });
  return socket(directory);
}
