/** The engines of sites, driven by their own commands. */
import type { EngineTransport } from '../../lib/image/oci/transport.ts';
import { startContainerd } from './containerd.ts';
import type { Scope } from './scope.ts';
import { startDocker } from './engine.ts';
import type { EngineUser } from './engineuser.ts';
import { makePodman } from './podman.ts';

export interface SiteEngine {
  readonly programs: readonly string[];
  start(scope: Scope): Promise<EngineUser>;
  /** Pulls from a registry over plain HTTP. */
  pull(user: EngineUser, name: string): Promise<string>;
  load(user: EngineUser, archive: string): Promise<string>;
  /** Runs a container without network and returns its output. */
  run(user: EngineUser, name: string, ...command: readonly string[]): Promise<string>;
  /** The image ID: the digest of the config. */
  imageID(user: EngineUser, name: string): Promise<string>;
  /** Manifest digest by which the engine names an image; undefined if it keeps no manifests. */
  manifest?(user: EngineUser, name: string): Promise<string>;
  /** Removes an image with all content that no other image needs. */
  remove(user: EngineUser, name: string): Promise<string>;
}

/** Some machines forbid higher limits than their own, and the cgroups that crun requires. */
const PODMAN_RUN = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];

export const SITE_ENGINES: Readonly<Record<EngineTransport, SiteEngine>> = {
  'docker-daemon': {
    programs: ['dockerd', 'docker'],
    start: startDocker,
    pull: ({ command }, name) => command('pull', '-q', name),
    load: ({ command }, archive) => command('load', '-i', archive),
    run: ({ command }, name, ...args) => command('run', '--rm', '--network', 'none', name, ...args),
    imageID: ({ command }, name) => command('image', 'inspect', '--format', '{{.Id}}', name),
    remove: ({ command }, name) => command('image', 'rm', name),
  },
  'containers-storage': {
    programs: ['podman', 'runc'],
    start: makePodman,
    pull: ({ command }, name) => command('pull', '-q', '--tls-verify=false', name),
    load: ({ command }, archive) => command('load', '-i', archive),
    run: ({ command }, name, ...args) =>
      command('--runtime', 'runc', 'run', '--rm', '--network', 'none', ...PODMAN_RUN, name, ...args),
    imageID: async ({ command }, name) =>
      `sha256:${await command('image', 'inspect', '--format', '{{.Id}}', name)}`,
    manifest: ({ command }, name) => command('image', 'inspect', '--format', '{{.Digest}}', name),
    remove: ({ command }, name) => command('image', 'rm', name),
  },
  containerd: {
    programs: ['containerd', 'ctr', 'runc'],
    start: startContainerd,
    pull: ({ command }, name) => command('images', 'pull', '--plain-http', name),
    load: ({ command }, archive) => command('images', 'import', archive),
    run: ({ command }, name, ...args) => command('run', '--rm', name, 'panamax-test', ...args),
    async imageID({ command }, name) {
      const manifest = JSON.parse(await command('content', 'get', await containerdDigest(command, name))) as {
        config: { digest: string };
      };
      return manifest.config.digest;
    },
    manifest: ({ command }, name) => containerdDigest(command, name),
    remove: ({ command }, name) => command('images', 'rm', '--sync', name),
  },
};

/** Digest of the manifest or index by which containerd names an image. */
export async function containerdDigest(command: EngineUser['command'], name: string): Promise<string> {
  const line = (await command('images', 'ls')).split('\n').find((line) => line.startsWith(`${name} `));
  if (!line) throw new Error(`no ${name} in containerd`);
  return line.split(/\s+/)[2]!;
}
