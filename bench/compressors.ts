import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findProgram } from '../test/support/programs.ts';
import { freePort } from '../test/support/port.ts';

/** Programs that compress the layers of an image, with their usual options. */

const run = promisify(execFile);

/** An image of the corpus. */
export interface Subject {
  readonly name: string;
  /** Archive of `docker save` with uncompressed layers, for the name `corpus/NAME`. */
  readonly archive: string;
  /** The root file system as one tar. */
  readonly rootfs: string;
}

export interface Compressor {
  readonly name: string;
  readonly programs: readonly string[];
  /** Makes an OCI layout with one image at `layout`. */
  compress(subject: Subject, layout: string, services: Services): Promise<void>;
}

/** Servers and engines, each started at its first use. */
export interface Services {
  readonly scratch: string;
  /** `127.0.0.1:PORT` */
  registry(): Promise<string>;
  docker(...args: readonly string[]): Promise<void>;
  buildctl(...args: readonly string[]): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const ENGINES: readonly Compressor[] = [
  {
    name: 'docker push',
    programs: ['docker', 'dockerd', 'docker-registry', 'skopeo'],
    async compress({ name, archive }, layout, services) {
      const reference = `${await services.registry()}/docker:${name}`;
      await services.docker('load', '-i', archive);
      await services.docker('tag', `corpus/${name}`, reference);
      await services.docker('push', '-q', reference);
      await pull(reference, layout);
    },
  },
  buildkit('BuildKit', ''),
  buildkit('BuildKit, compression=zstd', ',compression=zstd,force-compression=true'),
  pushed('podman'),
  pushed('podman', 'zstd'),
  pushed('buildah'),
  pushed('buildah', 'zstd'),
  {
    name: 'skopeo copy',
    programs: ['skopeo'],
    async compress({ archive }, layout) {
      await run('skopeo', ['copy', '-q', `docker-archive:${archive}`, `oci:${layout}`]);
    },
  },
  {
    name: 'skopeo copy --dest-compress-format zstd',
    programs: ['skopeo'],
    async compress({ archive }, layout) {
      const format = ['--dest-compress-format', 'zstd'];
      await run('skopeo', ['copy', '-q', ...format, `docker-archive:${archive}`, `oci:${layout}`]);
    },
  },
  {
    name: 'umoci insert',
    programs: ['umoci', 'skopeo'],
    async compress({ rootfs }, layout, { scratch }) {
      const directory = join(scratch, 'umoci');
      await mkdir(directory, { recursive: true });
      await run('tar', ['-xf', rootfs, '-C', directory]);
      await run('umoci', ['init', '--layout', layout]);
      await run('umoci', ['new', '--image', `${layout}:latest`]);
      await run('umoci', ['insert', '--image', `${layout}:latest`, directory, '/']);
      await run('rm', ['-rf', directory]);
      await run('umoci', ['gc', '--layout', layout]);
    },
  },
];

/** @param options further options of the output */
function buildkit(name: string, options: string): Compressor {
  return {
    name,
    programs: ['buildkitd', 'buildctl', 'skopeo'],
    async compress(subject, layout, services) {
      const { scratch } = services;
      const context = join(scratch, `context-${subject.name}`);
      await mkdir(context, { recursive: true });
      await run('cp', [subject.rootfs, join(context, 'rootfs.tar')]);
      await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nADD rootfs.tar /\n');
      const output = join(scratch, `buildkit-${subject.name}.tar`);
      const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
      const target = `type=oci,dest=${output}${options}`;
      await services.buildctl('build', '--frontend', 'dockerfile.v0', ...local, '--output', target);
      await run('skopeo', ['copy', '-q', '--preserve-digests', `oci-archive:${output}`, `oci:${layout}`]);
    },
  };
}

/** Podman and buildah share their storage and differ in how they import an archive. */
function pushed(program: 'podman' | 'buildah', format?: 'zstd'): Compressor {
  const options = format ? ['--compression-format', format] : [];
  return {
    name: [program, 'push', ...options].join(' '),
    programs: [program, 'docker-registry', 'skopeo'],
    async compress(subject, layout, services) {
      const reference = await repositoryFor(services, program, subject, options);
      const store = containersStore(services, program);
      const bring = {
        podman: ['load', '-q', '-i', subject.archive],
        buildah: ['pull', '-q', `docker-archive:${subject.archive}`],
      };
      await run(program, [...store, ...bring[program]]);
      const image = `docker.io/corpus/${subject.name}`;
      const target = `docker://${reference}`;
      await run(program, [...store, 'push', '-q', '--tls-verify=false', ...options, image, target]);
      await pull(reference, layout);
    },
  };
}

/** A separate host name and repository per set of options: layers pushed to the same place would be reused. */
async function repositoryFor(
  services: Services,
  repository: string,
  { name }: Subject,
  options: readonly string[],
): Promise<string> {
  const address = await services.registry();
  const host = options.length > 0 ? address.replace('127.0.0.1', 'localhost') : address;
  return `${host}/${[repository, options.length].join('-')}:${name}`;
}

function containersStore({ scratch }: Services, name: string): string[] {
  return ['--root', join(scratch, name), '--runroot', runroot(name), '--storage-driver', 'overlay'];
}

/** A short path, since the program limits its length. */
const runroot = (name: string): string => join(tmpdir(), `${name}-${process.pid}`);

/** Copies an image from the registry without changes. */
async function pull(reference: string, layout: string): Promise<void> {
  const source = ['--src-tls-verify=false', `docker://${reference}`];
  await run('skopeo', ['copy', '-q', '--preserve-digests', ...source, `oci:${layout}`]);
}

export function createServices(scratch: string): Services {
  const stops: (() => Promise<void>)[] = [];

  /** Starts a server and waits until `ping` succeeds. */
  async function start(
    command: string,
    args: readonly string[],
    ping: () => Promise<unknown>,
  ): Promise<void> {
    const child = spawn(findProgram(command) ?? command, args, { stdio: 'ignore' });
    const ended = once(child, 'exit');
    // runs also when the benchmark is stopped
    process.once('exit', () => child.kill());
    stops.push(async () => {
      child.kill();
      await ended;
    });
    for (let attempt = 0; ; attempt++) {
      try {
        return void (await ping());
      } catch (error) {
        if (attempt === 300 || child.exitCode !== null) throw error;
        await delay(100);
      }
    }
  }

  const registry = lazily(async () => {
    const port = await freePort();
    const config = join(scratch, 'registry.yml');
    const document = {
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(scratch, 'registry') } },
      http: { addr: `127.0.0.1:${port}` },
    };
    await writeFile(config, JSON.stringify(document));
    await start('docker-registry', ['serve', config], () => reach(port));
    return `127.0.0.1:${port}`;
  });

  const docker = lazily(async () => {
    const directory = join(scratch, 'docker');
    await mkdir(directory);
    const host = `unix://${join(directory, 'socket')}`;
    const roots = ['data-root', 'exec-root'].map((root) => `--${root}=${join(directory, root)}`);
    const network = ['--bridge=none', '--iptables=false', '--ip6tables=false'];
    const args = [...roots, ...network, `--pidfile=${join(directory, 'pid')}`, `--host=${host}`];
    await start('dockerd', args, () => run('docker', ['--host', host, 'version']));
    return host;
  });

  const buildkit = lazily(async () => {
    const directory = join(scratch, 'buildkit');
    const address = `unix://${join(scratch, 'buildkit.sock')}`;
    const args = ['--root', directory, '--addr', address, '--containerd-worker=false'];
    await start('buildkitd', args, () => run('buildctl', ['--addr', address, 'debug', 'workers']));
    return address;
  });

  return {
    scratch,
    registry,
    async docker(...args) {
      await run('docker', ['--host', await docker(), ...args]);
    },
    async buildctl(...args) {
      await run('buildctl', ['--addr', await buildkit(), ...args]);
    },
    async [Symbol.asyncDispose]() {
      for (const stop of stops.toReversed()) await stop();
      for (const name of ['podman', 'buildah']) await rm(runroot(name), { recursive: true, force: true });
    },
  };
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}

/** Calls `make` at the first use and keeps its result. */
function lazily<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => (made ??= make());
}
