/** Faults of network, patches, processes and disks: a site keeps its images or has the new one, and a later pull succeeds. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Digest } from '../../lib/digest.ts';
import { EXIT_CODES } from '../../lib/errors.ts';
import type { PullOutcome } from '../../lib/site/site.ts';
import { ownName } from '../../lib/runtime/file.ts';
import { keys } from '../../lib/store/keys.ts';
import { snapshot } from '../support/directory.ts';
import type { EngineUser } from '../support/engineuser.ts';
import { panamax, panamaxJson, panamaxWith } from '../support/commands.ts';
import { panamaxWith as panamaxAnew, startPanamax } from '../support/panamax.ts';
import { findProgram, missing, notRoot, unless } from '../support/programs.ts';
import { startProxy } from '../support/proxy.ts';
import { createRandom } from '../support/random.ts';
import { startRegistry } from '../support/registry.ts';
import { pushReleases } from '../support/pushed.ts';
import { SITE_ENGINES, type SiteEngine } from '../support/siteengines.ts';
import { makeSiteStore, NAME, type SiteStore } from '../support/sitestore.ts';
import { skopeoConfig, skopeoCopy } from '../support/skopeo.ts';
import { startWeb } from '../support/web.ts';

const ROUNDS = 5;
const podman = SITE_ENGINES['containers-storage'];
const skip = missing(...podman.programs, 'skopeo') || notRoot();

interface EngineSite {
  readonly user: EngineUser;
  /** Whether the engine has the second release. Throws if the first one is gone or the name stands for another image. */
  hasSecond(): Promise<boolean>;
  forgetSecond(): Promise<void>;
}

/** An engine that has the first release under `NAME:1`. */
async function siteWith(
  t: TestContext,
  engine: SiteEngine,
  made: SiteStore,
  name = NAME,
): Promise<EngineSite> {
  const user = await engine.start(t);
  const first = join(made.directory, 'first.tar');
  await skopeoCopy(`oci:${made.directory}/1`, `docker-archive:${first}:${name}:1`);
  await engine.load(user, first);
  const [one, two] = made.images.map(({ configDigest }) => configDigest);
  return {
    user,
    async hasSecond() {
      assert.equal(await engine.imageID(user, `${name}:1`), one);
      const id = await engine.imageID(user, `${name}:2`).catch(() => undefined);
      assert.ok(id === undefined || id === two, id);
      return id === two;
    },
    forgetSecond: async () => void (await engine.remove(user, `${name}:2`)),
  };
}

const left = async (made: SiteStore) => ({
  partial: await readdir(join(made.directory, 'state', 'partial')).catch(() => []),
  scratch: await readdir(join(made.directory, 'scratch')).catch(() => []),
});
const NOTHING = { partial: [], scratch: [] };

describe(
  'pull over a connection that is cut at random',
  { skip: skip || missing('docker-registry'), concurrency: 2 },
  () => {
    const ORIGINS = {
      async 'a web server'(t: TestContext) {
        const made = await makeSiteStore(t);
        const proxy = await startProxy(t, await startWeb(t, made.store));
        return { made, proxy, name: NAME, options: ['--store', `http://127.0.0.1:${proxy.port}`] };
      },
      async 'a registry'(t: TestContext) {
        const proxy = await startProxy(t, await startRegistry(t));
        const host = `127.0.0.1:${proxy.port}`;
        const made = await pushReleases(t, { host });
        await made.publish(2);
        return { made, proxy, name: made.name, options: ['--insecure-registry', host] };
      },
    };

    for (const [origin, start] of Object.entries(ORIGINS)) {
      test(`resumes from ${origin}`, async (t) => {
        const { made, proxy, name, options } = await start(t);
        const site = await siteWith(t, podman, made, name);
        const random = createRandom(11);
        const args = ['pull', `${name}:2`, '--engine', 'podman', '--no-fallback', ...options, ...made.site];
        const pull = () => panamaxWith(site.user.env, ...args);
        const codes = new Set<number | null>();
        for (let round = 0; round < ROUNDS; round++) {
          const times = round % 2 === 0 ? 1 + random.below(4) : 1000;
          proxy.setFault({ kind: 'cut', direction: 'down', after: 200 + random.below(12_000), times });
          const { code, stderr } = await pull();
          codes.add(code);
          assert.ok(code === 0 || code === EXIT_CODES.io, stderr);
          assert.equal(await site.hasSecond(), code === 0);
          assert.deepEqual((await left(made)).scratch, []);
          if (code === 0) await site.forgetSecond();
        }
        assert.ok(proxy.resets > ROUNDS);
        proxy.setFault();
        const { code, stderr } = await pull();
        assert.equal(code, 0, stderr);
        assert.ok(await site.hasSecond());
        assert.deepEqual(await left(made), NOTHING);
      });
    }
  },
);

test('pull succeeds after its process group was killed at random moments', { skip }, async (t) => {
  const made = await makeSiteStore(t);
  const site = await siteWith(t, podman, made);
  const args = [
    'pull',
    `${NAME}:2`,
    '--engine',
    'podman',
    '--no-fallback',
    '--store',
    made.store,
    ...made.site,
  ];
  const random = createRandom(12);
  // the length of a pull, at first longer than any; a pull that ends before its moment shortens it
  let whole = 60_000;
  for (let kills = 0; kills < 2 * ROUNDS;) {
    const started = performance.now();
    const child = startPanamax(args, site.user.env);
    child.stdout.resume();
    child.stderr.resume();
    const closed = new Promise((resolve) => child.once('close', resolve));
    // any moment from the start to the loading of the image
    const moment = (whole * (kills + random.below(100) / 100)) / (2 * ROUNDS);
    await Promise.race([delay(moment), closed]);
    if (child.exitCode === null) {
      kills++;
      process.kill(-child.pid!, 'SIGKILL');
    } else {
      assert.equal(child.exitCode, 0);
      whole = Math.min(whole, performance.now() - started);
    }
    await closed;
    if (await site.hasSecond()) await site.forgetSecond();
  }
  const { code, stderr } = await panamaxAnew(site.user.env, ...args);
  assert.equal(code, 0, stderr);
  assert.ok(await site.hasSecond());
  assert.deepEqual(await left(made), NOTHING);
});

test('pull of an image that a killed pull has loaded removes what that one left', { skip }, async (t) => {
  const made = await makeSiteStore(t);
  const site = await siteWith(t, podman, made);
  const second = join(made.directory, 'second.tar');
  await skopeoCopy(`oci:${made.directory}/2`, `docker-archive:${second}:${NAME}:2`);
  await podman.load(site.user, second);
  const index = join(made.store, keys.index(made.images[1]!.manifestDigest as Digest));
  const { patches } = JSON.parse(await readFile(index, 'utf8')) as { patches: { digest: string }[] };
  // files of a process that has ended, and of one that runs
  const [dead, live] = [`${hostname()}.${spawnSync('true').pid}-1`, ownName()];
  const suffix = `${patches[0]!.digest.replace(':', '-')}.part`;
  const [partial, scratch] = [join(made.directory, 'state', 'partial'), join(made.directory, 'scratch')];
  await mkdir(partial, { recursive: true });
  for (const owner of [dead, live]) {
    await mkdir(join(scratch, owner), { recursive: true });
    await writeFile(join(partial, `${owner}.${suffix}`), 'start of a patch');
  }
  const args = ['--engine', 'podman', '--no-fallback', '--store', made.store, ...made.site];
  const { code, stderr } = await panamaxWith(site.user.env, 'pull', `${NAME}:2`, ...args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await left(made), { partial: [`${live}.${suffix}`], scratch: [live] });
});

test(
  'pull refuses a randomly damaged patch, even if the index has the digest of the damaged file',
  { skip },
  async (t) => {
    const made = await makeSiteStore(t);
    const site = await siteWith(t, podman, made);
    const files = (await readdir(made.store, { recursive: true })).map((path) => join(made.store, path));
    const index = files.find(
      (path) =>
        path.endsWith(`${made.images[1]!.manifestDigest.replace(':', '-')}.json`) && path.includes('/index/'),
    )!;
    const document = await readFile(index, 'utf8');
    const { patches } = JSON.parse(document) as { patches: { key: string; digest: string }[] };
    const path = join(made.store, patches[0]!.key);
    const sound = await readFile(path);
    const options = ['--engine', 'podman', '--no-fallback', '--store', made.store, ...made.site];
    const pull = () => panamaxWith(site.user.env, 'pull', `${NAME}:2`, ...options);
    const random = createRandom(13);
    for (let round = 0; round < ROUNDS; round++) {
      const damaged = Buffer.from(sound);
      for (let i = 0; i <= random.below(3); i++)
        damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
      if (damaged.equals(sound)) continue;
      await writeFile(path, damaged);
      const digest = `sha256:${createHash('sha256').update(damaged).digest('hex')}`;
      await writeFile(index, round % 2 ? document.replace(patches[0]!.digest, digest) : document);
      const { code, stderr } = await pull();
      const has = await site.hasSecond();
      // a flipped bit may be one that decoders ignore
      if (code === 0) assert.ok(round % 2 && has);
      else assert.ok(code === EXIT_CODES['bad-patch'] && !has, stderr);
      assert.deepEqual(await left(made), NOTHING);
      if (has) await site.forgetSecond();
    }
    await writeFile(path, sound);
    await writeFile(index, document);
    assert.equal((await pull()).code, 0);
    assert.ok(await site.hasSecond());
  },
);

test('pull does not try another patch if the engine refuses the image', { skip }, async (t) => {
  const made = await makeSiteStore(t, { count: 3 });
  const site = await siteWith(t, podman, made);
  const second = join(made.directory, 'second.tar');
  await skopeoCopy(`oci:${made.directory}/2`, `docker-archive:${second}:${NAME}:2`);
  await podman.load(site.user, second);
  const web = await startWeb(t, made.store);
  // a wrapper whose message contains the engine's words for a missing image
  const bin = join(made.directory, 'bin');
  await mkdir(bin);
  const refusal = 'case $1 in load) echo "Error: storage: layer: not found" >&2; exit 125;; esac';
  await writeFile(join(bin, 'podman'), `#!/bin/sh\n${refusal}\nexec ${findProgram('podman')} "$@"\n`, {
    mode: 0o755,
  });
  const env = { ...site.user.env, PATH: `${bin}:${process.env['PATH']}` };
  const options = ['--engine', 'podman', '--store', web.url, '--no-fallback', ...made.site];
  const { code, stderr } = await panamaxWith(env, 'pull', `${NAME}:3`, ...options);
  assert.equal(code, EXIT_CODES.io, stderr);
  assert.match(stderr, /the engine refuses: .*not found/);
  const patches = web.requests.filter(({ path }) => path.endsWith('.xdelta'));
  assert.equal(patches.length, 1, patches.map(({ path }) => path).join());
  // the downloaded patch is kept for the next start
  assert.equal((await panamaxWith(site.user.env, 'pull', `${NAME}:3`, ...options)).code, 0);
  assert.equal(web.requests.filter(({ path }) => path.endsWith('.xdelta')).length, 1);
});

const MAIN = fileURLToPath(new URL('../../bin/panamax.ts', import.meta.url));
const noMounts = () =>
  unless(spawnSync('unshare', ['--mount', 'true']).status === 0, 'needs the right to mount');

test(
  'pull fails on a full disk and succeeds once there is space',
  { skip: missing('unshare', 'mount') || notRoot() || noMounts() },
  async (t) => {
    const made = await makeSiteStore(t);
    const disk = join(made.directory, 'disk');
    await mkdir(disk);
    const random = createRandom(14);
    const source = join(made.directory, '1');
    const pull = `"$NODE" "$MAIN" pull ${NAME}:2 --store ${made.store} --engine none --source ${source} --output oci:$DISK/out:new --state $DISK/state --scratch $DISK/scratch`;
    const codes = new Set<number>();
    for (let round = 0; round < ROUNDS; round++) {
      const wait = ((round + random.below(100) / 100) * 1.2) / ROUNDS;
      const script = `mount -t tmpfs -o size=64m tmpfs "$DISK" || exit 99
      ${pull} & pid=$!
      sleep ${wait.toFixed(2)}; head -c 64m /dev/zero > "$DISK/fill" 2>/dev/null
      wait $pid; echo "code $?"; rm "$DISK/fill"
      find "$DISK/scratch" -mindepth 1; if [ -e "$DISK/out" ]; then echo there; fi
      ${pull} && cp -r "$DISK/out" ${made.directory}/out-${round}; echo "again $?"`;
      const { stdout, stderr, status } = spawnSync('unshare', ['--mount', 'sh', '-c', script], {
        env: { ...process.env, DISK: disk, NODE: process.execPath, MAIN },
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
      const code = Number(/^code (\d+)$/m.exec(stdout)![1]);
      codes.add(code);
      assert.ok(code === 0 || code === EXIT_CODES.io, stderr);
      assert.equal(/^there$/m.test(stdout), code === 0, stdout);
      assert.doesNotMatch(stdout, /scratch/);
      assert.match(stdout, /^again 0$/m, stderr);
      assert.equal(
        await skopeoConfig(`oci:${made.directory}/out-${round}:new`),
        made.images[1]!.configDigest,
      );
    }
    assert.ok(codes.has(EXIT_CODES.io), [...codes].join());
    assert.deepEqual(await snapshot(disk), {});
  },
);

for (const [transport, engine] of Object.entries(SITE_ENGINES)) {
  const programs = [...engine.programs, 'docker-registry', 'skopeo'];
  test(
    `pull leaves an image without a patch to ${transport}`,
    { skip: missing(...programs) || notRoot() },
    async (t) => {
      const registry = await startRegistry(t);
      const made = await pushReleases(t, registry);
      const site = await siteWith(t, engine, made, made.name);
      const registries = join(made.directory, 'registries.conf');
      await writeFile(registries, `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`);
      const env = { ...site.user.env, CONTAINERS_REGISTRIES_CONF: registries };
      const options = ['--engine', transport, '--insecure-registry', registry.host, ...made.site, '--json'];
      // neither the store nor the registry has a patch
      const { code, stdout, stderr } = await panamaxWith(
        env,
        'pull',
        `${made.name}:2`,
        '--store',
        made.store,
        ...options,
      );
      assert.equal(code, 0, stderr);
      const outcome = JSON.parse(stdout) as PullOutcome;
      const { method, reasons, enginePull, movedBytes, pullBytes } = outcome;
      assert.equal(method, 'pull');
      assert.ok(await site.hasSecond());
      assert.match(reasons.join('\n'), /the store knows no .*:2\nthe registry has no patch to this image/);
      if (transport === 'containerd') {
        assert.equal(enginePull, undefined);
        assert.ok(movedBytes >= pullBytes!);
      } else {
        assert.equal(enginePull!.most, pullBytes);
        assert.ok(enginePull!.lacking! > 0 && enginePull!.lacking! <= enginePull!.most);
        assert.ok(movedBytes < enginePull!.most);
        await site.forgetSecond();
        const dryRun = ['--dry-run', '--store', made.store, ...options.slice(0, -1)];
        const told = await panamaxWith(env, 'pull', `${made.name}:2`, ...dryRun);
        const size = '[\\d.]+ [kM]?B';
        const text = `at most ${size}, ${size} in layers that it lacks; ${size} moved before\n`;
        assert.match(told.stdout, new RegExp(`to be pulled by the engine .*: ${text}`));
        assert.ok(!(await site.hasSecond()));
      }
    },
  );
}

test(
  'pull uses Docker credentials for containerd',
  {
    skip: missing('containerd', 'ctr', 'docker-registry', 'htpasswd', 'skopeo') || notRoot(),
  },
  async (t) => {
    const registry = await startRegistry(t, { user: 'site', password: 'secret of the site' });
    const made = await makeSiteStore(t);
    const name = `${registry.host}/team/app`;
    const copy = ['--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', '--preserve-digests'];
    const creds = ['--dest-creds', 'site:secret of the site'];
    await promisify(execFile)('skopeo', [...copy, ...creds, `oci:${made.directory}/2`, `docker://${name}:2`]);
    const site = await siteWith(t, SITE_ENGINES.containerd, made, name);
    const config = join(made.directory, 'docker');
    await mkdir(config);
    const env = { ...site.user.env, DOCKER_CONFIG: config };
    const options = ['--engine', 'containerd', '--insecure-registry', registry.host, ...made.site, '--json'];
    const refused = await panamaxWith(env, 'pull', `${name}:2`, ...options);
    assert.equal(refused.code, EXIT_CODES.io);
    assert.match(refused.stderr, /no credentials/);
    assert.equal(await site.hasSecond(), false);
    const auth = Buffer.from('site:secret of the site').toString('base64');
    await writeFile(join(config, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
    const { code, stdout, stderr } = await panamaxWith(env, 'pull', `${name}:2`, ...options);
    assert.equal(code, 0, stderr);
    const { method, movedBytes, pullBytes } = JSON.parse(stdout) as Record<string, number | string>;
    assert.equal(method, 'pull');
    assert.ok(Number(movedBytes) >= Number(pullBytes));
    assert.ok(await site.hasSecond());
    assert.equal(
      await SITE_ENGINES.containerd.manifest!(site.user, `${name}:2`),
      made.images[1]!.manifestDigest,
    );
    assert.deepEqual((await left(made)).scratch, []);
  },
);

for (const transport of ['containers-storage', 'containerd'] as const) {
  const engine = SITE_ENGINES[transport];
  const programs = [...engine.programs, 'docker-registry', 'skopeo'];
  test(
    `pull with a trusted key has ${transport} pull the signed digest, even if the tag has moved`,
    {
      skip: missing(...programs) || notRoot(),
    },
    async (t) => {
      const registry = await startRegistry(t);
      const made = await pushReleases(t, registry, { count: 3 });
      const site = await siteWith(t, engine, made, made.name);
      const path = (name: string) => join(made.directory, name);
      await panamax('keygen', path('owner'));
      const store = ['--store', path('registry-store')];
      // the tag's name record is signed, and there is no patch
      await panamaxJson('tag', `${made.name}:2`, path('2'), '--sign', path('owner.key'), ...store);
      await made.push(3, '2');
      const registries = path('registries.conf');
      await writeFile(registries, `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`);
      const env = { ...site.user.env, CONTAINERS_REGISTRIES_CONF: registries };
      const options = ['--engine', transport, '--insecure-registry', registry.host, ...made.site, ...store];
      const key = ['--verify-key', path('owner.pub'), '--json'];
      const { code, stdout, stderr } = await panamaxWith(env, 'pull', `${made.name}:2`, ...options, ...key);
      assert.equal(code, 0, stderr);
      const { method, reasons } = JSON.parse(stdout) as { method: string; reasons: string[] };
      assert.equal(method, 'pull');
      assert.match(reasons.join('\n'), /not signed by a key that is trusted/);
      assert.ok(await site.hasSecond());
    },
  );
}
