/** Engines of a site that pull through a mirror, with the configuration that the mirror prints. */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { engineConfig } from '../../lib/mirror/engineconfig.ts';
import { parseUpstream } from '../../lib/mirror/upstream.ts';
import { startContainerd } from '../support/containerd.ts';
import { startDocker } from '../support/engine.ts';
import { commandOf, type EngineUser } from '../support/engineuser.ts';
import { makeMirrorSite, upstreamBlobs, type MirrorSite } from '../support/mirrorsite.ts';
import { makePodman } from '../support/podman.ts';
import { missing, notRoot } from '../support/programs.ts';
import { fileScope } from '../support/scope.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';
import { NAME } from '../support/sitestore.ts';

const scope = fileScope();
let shared: Promise<MirrorSite> | undefined;

/** One mirror for all engines. */
const getSite = () => (shared ??= makeMirrorSite(scope));

async function configFile(engine: string, { mirror, directory }: MirrorSite): Promise<string> {
  const upstream = parseUpstream(NAME.split('/')[0]!);
  const [file] = engineConfig(engine, new URL(mirror.url), [upstream]).files;
  const path = join(directory, 'engine', file!.path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${file!.text}\n`);
  return path;
}

interface Puller {
  readonly user: EngineUser;
  readonly name: string;
  pull(name: string): Promise<string>;
}

const ENGINES = {
  podman: {
    transport: 'containers-storage',
    async start(made: MirrorSite): Promise<Puller> {
      const config = await configFile('podman', made);
      const { env } = await makePodman(scope);
      const command = commandOf('podman', { ...env, CONTAINERS_REGISTRIES_CONF: config });
      return { user: { env, command }, name: NAME, pull: (name) => command('pull', '-q', name) };
    },
  },
  containerd: {
    transport: 'containerd',
    async start(made: MirrorSite): Promise<Puller> {
      const config = await configFile('containerd', made);
      const user = await startContainerd(scope);
      const hosts = dirname(dirname(config));
      const pull = (name: string) => user.command('images', 'pull', '--hosts-dir', hosts, name);
      return { user, name: NAME, pull };
    },
  },
  docker: {
    transport: 'docker-daemon',
    async start({ name }: MirrorSite): Promise<Puller> {
      const user = await startDocker(scope);
      return { user, name, pull: (image) => user.command('pull', '-q', image) };
    },
  },
} as const;

for (const [engine, site] of Object.entries(ENGINES)) {
  const { transport } = site;
  const programs = ['docker-registry', 'skopeo', ...SITE_ENGINES[transport].programs];
  describe(`${engine} through a mirror`, { skip: notRoot() || missing(...programs) }, () => {
    let puller: Puller;
    let made: MirrorSite;
    before(async () => {
      made = await getSite();
      await made.mirror.stop();
      await rm(join(made.directory, 'mirror'), { recursive: true });
      await made.mirror.start();
      puller = await site.start(made);
    });

    test('pulls the first release, then the second one without a blob from the upstream', async () => {
      const judge = SITE_ENGINES[transport];
      const { user, name } = puller;
      const [first, second] = made.images;
      await puller.pull(`${name}:1`);
      assert.equal(await judge.imageID(user, `${name}:1`), first!.configDigest);
      const since = made.front.seen.length;
      await puller.pull(`${name}:2`);
      assert.equal(await judge.imageID(user, `${name}:2`), second!.configDigest);
      if (judge.manifest) assert.equal(await judge.manifest(user, `${name}:2`), second!.manifestDigest);
      assert.deepEqual(upstreamBlobs(made, since), []);
      await judge.remove(user, `${name}:2`);
      const pinned = `${name}@${second!.manifestDigest}`;
      await puller.pull(pinned);
      assert.equal(await judge.imageID(user, pinned), second!.configDigest);
    });
  });
}
