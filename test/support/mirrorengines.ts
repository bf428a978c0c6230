/** Engines that pull through a mirror, with the configuration that the mirror prints. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { engineConfig } from '../../lib/mirror/engineconfig.ts';
import { parseUpstream } from '../../lib/mirror/upstream.ts';
import { startContainerd, startCri } from './containerd.ts';
import { startDocker } from './engine.ts';
import { commandOf, type EngineUser } from './engineuser.ts';
import type { RunningMirror } from './mirror.ts';
import { makePodman } from './podman.ts';
import type { Scope } from './scope.ts';
import type { SiteEngine } from './siteengines.ts';

/** The mirror of a site and the name of an image in its upstream: `HOST/PATH`, without a tag. */
export interface Mirrored {
  readonly mirror: Pick<RunningMirror, 'host' | 'url'>;
  readonly repository: string;
  /** For the engine's configuration. */
  readonly directory: string;
}

export interface Puller {
  readonly user: EngineUser;
  /** The repository, as the engine names it. */
  readonly name: string;
  readonly pull: (name: string) => Promise<string>;
  /** Pulls with a configuration that does not let the engine ask the registry. Undefined if `pull` has it, or none is. */
  readonly pullStrictly?: (name: string) => Promise<string>;
}

/** Says what an engine holds. */
export type Judge = Pick<SiteEngine, 'imageID' | 'manifest' | 'remove'> & Partial<Pick<SiteEngine, 'run'>>;

export type Start = (scope: Scope, mirrored: Mirrored) => Promise<Puller>;

interface MirrorEngine {
  readonly transport: 'containers-storage' | 'containerd' | 'docker-daemon';
  readonly start: Start;
}

export const MIRROR_ENGINES: Readonly<Record<string, MirrorEngine>> = {
  podman: {
    transport: 'containers-storage',
    async start(scope, mirrored) {
      const { env } = await makePodman(scope);
      const commandWith = async (fallback: boolean) => {
        const config = await writeConfig('podman', mirrored, fallback);
        return commandOf('podman', { ...env, CONTAINERS_REGISTRIES_CONF: config });
      };
      const [command, strict] = [await commandWith(true), await commandWith(false)];
      return {
        user: { env, command },
        name: mirrored.repository,
        pull: (name) => command('pull', '-q', name),
        pullStrictly: (name) => strict('pull', '-q', name),
      };
    },
  },
  containerd: {
    transport: 'containerd',
    async start(scope, mirrored) {
      const user = await startContainerd(scope);
      const pullWith = async (fallback: boolean) => {
        const hosts = dirname(dirname(await writeConfig('containerd', mirrored, fallback)));
        return (name: string) => user.command('images', 'pull', '--hosts-dir', hosts, name);
      };
      const [pull, pullStrictly] = [await pullWith(true), await pullWith(false)];
      return { user, name: mirrored.repository, pull, pullStrictly };
    },
  },
  docker: {
    transport: 'docker-daemon',
    async start(scope, { mirror, repository }) {
      const user = await startDocker(scope);
      const name = `${mirror.host}/${repository.replace(':', '_')}`;
      return { user, name, pull: (image) => user.command('pull', '-q', image) };
    },
  },
};

/** Programs of containerd whose CRI pulls through a mirror. */
export const CRI_PROGRAMS = ['containerd', 'containerd2'];

/** Starts a containerd and pulls by its CRI. The newer one is not let to ask the registry. */
export function criOf(program: string): Start {
  return async (scope, mirrored) => {
    const hosts = dirname(dirname(await writeConfig('containerd', mirrored, program === 'containerd')));
    const user = await startCri(scope, program, hosts);
    return { user, name: mirrored.repository, pull: (name) => user.command('pull', name) };
  };
}

/** An image, as CRI describes it. */
interface CriImage {
  readonly id: string;
  /** `NAME@DIGEST` of its manifest. */
  readonly digests: readonly string[];
}

async function criImage({ command }: EngineUser, name: string): Promise<CriImage> {
  return JSON.parse(await command('inspect', name)) as CriImage;
}

export const CRI_JUDGE: Judge = {
  imageID: async (user, name) => (await criImage(user, name)).id,
  manifest: async (user, name) =>
    (await criImage(user, name)).digests.map((digest) => digest.split('@')[1]!).join(),
  remove: ({ command }, name) => command('remove', name),
};

/** @returns the path of the file */
async function writeConfig(
  engine: string,
  { mirror, repository, directory }: Mirrored,
  fallback: boolean,
): Promise<string> {
  const upstreams = [parseUpstream(repository.split('/')[0]!)];
  const [file] = engineConfig(engine, { mirror: new URL(mirror.url), upstreams, fallback }).files;
  const path = join(directory, fallback ? 'engine' : 'strict-engine', file!.path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${file!.text}\n`);
  return path;
}
