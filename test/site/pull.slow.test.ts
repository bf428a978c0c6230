/** `panamax pull` with a store. */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { EXIT_CODES } from '../../lib/errors.ts';
import { snapshot } from '../support/directory.ts';
import { panamax, panamaxFails, panamaxJson, panamaxWith } from '../support/commands.ts';
import { startPanamax } from '../support/panamax.ts';
import { missing, notRoot } from '../support/programs.ts';
import { startProxy } from '../support/proxy.ts';
import { SITE_ENGINES } from '../support/siteengines.ts';
import { makeSiteStore, NAME, type SiteStore } from '../support/sitestore.ts';
import { skopeoConfig, skopeoCopy } from '../support/skopeo.ts';
import { startWeb } from '../support/web.ts';

interface Outcome {
  readonly method: string;
  readonly target?: { readonly config: string };
  readonly patch?: { readonly target: object };
  readonly movedBytes: number;
  readonly pullBytes: number;
  readonly reasons: readonly string[];
}

const offline = ({ directory, site }: SiteStore) => [
  ...site,
  '--engine',
  'none',
  '--source',
  join(directory, '1'),
  '--output',
  `oci:${directory}/out:new`,
];

describe('pull without an engine', () => {
  test('takes the smallest patch from a directory or a web server', async (t) => {
    const made = await makeSiteStore(t);
    const web = await startWeb(t, made.store);
    for (const store of [made.store, web.url]) {
      const output = join(made.directory, 'out');
      await rm(output, { recursive: true, force: true });
      const dry = await panamaxJson<Outcome>(
        'pull',
        `${NAME}:2`,
        '--store',
        store,
        ...offline(made),
        '--dry-run',
      );
      assert.equal(dry.method, 'patch');
      // the JSON output names images and does not contain their documents
      const name = ['manifest', 'config', 'layers', 'size'];
      assert.deepEqual(Object.keys(dry.patch!.target), name);
      assert.doesNotMatch(JSON.stringify(dry), /schemaVersion|Document/);
      assert.deepEqual(await snapshot(output), {});
      const { code, stdout, stderr } = await panamax('pull', `${NAME}:2`, '--store', store, ...offline(made));
      assert.equal(code, 0, stderr);
      assert.match(
        stderr,
        /^panamax pull: patch of [^\n]* needs [\d.]+ MB of disk and [\d.]+ MB of memory\n$/,
      );
      assert.match(stdout, /moved [\d.]+ kB, [\d.]+ % of the [\d.]+ MB that a pull moves/);
      assert.equal(await skopeoConfig(`oci:${output}:new`), made.images[1]!.configDigest);
    }
    // by digest no name is needed
    await rm(join(made.directory, 'store', 'names'), { recursive: true });
    const digest = `${NAME}@${made.images[1]!.manifestDigest}`;
    const outcome = await panamaxJson<Outcome>('pull', digest, '--store', made.store, ...offline(made));
    assert.equal(outcome.target?.config, made.images[1]!.configDigest);
    assert.ok(outcome.movedBytes < 0.05 * outcome.pullBytes, `${outcome.movedBytes} of ${outcome.pullBytes}`);
    assert.deepEqual(await readdir(join(made.directory, 'state', 'partial')), []);
    assert.deepEqual(await readdir(join(made.directory, 'scratch')), []);
  });

  test('names the reason of a failure by its exit code', async (t) => {
    const made = await makeSiteStore(t);
    const options = ['--store', made.store, ...offline(made)];
    await panamaxFails('no-patch', /the store knows no .*:3/, 'pull', `${NAME}:3`, ...options);
    await panamaxFails('no-patch', /no index of sha256:0/, 'pull', `x@sha256:${'0'.repeat(64)}`, ...options);
    const elsewhere = offline(made).map((option) => option.replace(/1$/, '2'));
    const nothing = ['--store', made.store, ...made.site, '--engine', 'none', '--output', 'oci:out'];
    await panamaxFails('no-patch', /none of 1 patches is from one of the 0/, 'pull', `${NAME}:2`, ...nothing);
    await panamaxFails('not-found', /no such store/, 'pull', `${NAME}:2`, '--store', '/none', ...elsewhere);
    await panamaxFails('usage', /not the name of an image/, 'pull', 'Not A Name', ...options);
    // a patch that is damaged
    const files = await readdir(made.store, { recursive: true });
    const patches = files.filter((path) => path.endsWith('.xdelta')).map((path) => join(made.store, path));
    const bytes = await readFile(patches[0]!);
    for (const damaged of [
      Buffer.concat([bytes, bytes]),
      bytes.subarray(0, -1),
      bytes.map((b, i) => (i === 999 ? b ^ 1 : b)),
    ]) {
      for (const path of patches) await writeFile(path, damaged);
      await panamaxFails('bad-patch', /not the one that the index names/, 'pull', `${NAME}:2`, ...options);
      assert.deepEqual(await readdir(join(made.directory, 'state', 'partial')), []);
    }
    assert.deepEqual(await snapshot(join(made.directory, 'out')), {});
  });

  test('checks the destination before it asks the store', async (t) => {
    const made = await makeSiteStore(t);
    const path = (name: string) => join(made.directory, name);
    const web = await startWeb(t, made.store);
    await writeFile(path('file'), '');
    const pull = ['pull', `${NAME}:2`, '--store', web.url, ...offline(made), '--output'];
    for (const [output, kind] of [
      [`docker-archive:${path('none')}/x.tar:${NAME}:2`, 'not-found'],
      [`oci-archive:${path('none')}/x.tar`, 'not-found'],
      [`stream:${path('file')}/x`, 'not-found'],
      [`stream:${made.directory}`, 'io'],
      [`oci:${path('file')}`, 'io'],
      [`oci:${path('file')}/under/it`, 'not-found'],
    ] as const) {
      await panamaxFails(kind, /none|expected a (file|directory)|ENOTDIR/, ...pull, output);
    }
    await panamaxFails('io', /expected a file/, ...pull, `stream:${made.directory}`, '--dry-run');
    assert.deepEqual(web.requests, []);
    await panamaxJson<Outcome>(...pull, `oci:${path('new')}/under/it`);
  });

  test('continues a download after the process was killed', async (t) => {
    const made = await makeSiteStore(t);
    const web = await startWeb(t, made.store);
    const proxy = await startProxy(t, web);
    const options = ['--store', `http://127.0.0.1:${proxy.port}`, ...offline(made)];
    proxy.setFault({ kind: 'slow', rate: 20_000 });
    const child = startPanamax(['pull', `${NAME}:2`, ...options]);
    const partial = join(made.directory, 'state', 'partial');
    const sizes = async () => {
      const names = await readdir(partial).catch(() => []);
      return Promise.all(names.map(async (name) => (await readFile(join(partial, name))).length));
    };
    const closed = new Promise((resolve) => child.once('close', resolve));
    while (!(await sizes()).some((size) => size > 2000)) await new Promise(setImmediate);
    process.kill(-child.pid!, 'SIGKILL');
    await closed;
    const [kept] = await sizes();
    assert.ok(kept! > 2000);
    assert.deepEqual(await snapshot(join(made.directory, 'out')), {});
    proxy.setFault();
    const outcome = await panamaxJson<Outcome>('pull', `${NAME}:2`, ...options);
    assert.equal(outcome.method, 'patch');
    const ranges = web.requests.filter(({ range }) => range !== undefined);
    assert.equal(ranges.at(-1)!.range, `bytes=${kept}-`);
    assert.deepEqual(await readdir(partial), []);
    assert.deepEqual(await readdir(join(made.directory, 'scratch')), []);
  });
});

const nameFile = ({ store }: SiteStore, tag: string | number) =>
  join(store, 'names', 'registry.example=5000', 'team', `app@${tag}`, 'linux-amd64.json');

async function signed(t: TestContext): Promise<{ made: SiteStore; options: readonly string[] }> {
  const made = await makeSiteStore(t, { count: 3, sign: true });
  const key = ['--verify-key', join(made.directory, 'owner.pub')];
  return { made, options: ['--store', made.store, ...offline(made), ...key] };
}

describe('pull with a trusted key', () => {
  test('accepts patches that the key has signed, and no others', async (t) => {
    const { made, options } = await signed(t);
    assert.equal((await panamaxJson<Outcome>('pull', `${NAME}:2`, ...options)).method, 'patch');
    await panamax('keygen', join(made.directory, 'other'));
    const other = options.map((option) => option.replace('owner.pub', 'other.pub'));
    await panamaxFails('untrusted', /not signed by a key that is trusted/, 'pull', `${NAME}:2`, ...other);
    const digest = `${NAME}@${made.images[1]!.manifestDigest}`;
    await panamaxFails('untrusted', /not signed by a key that is trusted/, 'pull', digest, ...other);
    // two trusted keys, as during a change of keys
    await panamaxJson('pull', `${NAME}:2`, ...other, '--verify-key', join(made.directory, 'owner.pub'));
  });

  test('refuses name records and patches of other images', async (t) => {
    const { made, options } = await signed(t);
    // another name's record under this name
    await cp(nameFile(made, 3), nameFile(made, 2));
    await panamaxFails('untrusted', /record of another name/, 'pull', `${NAME}:2`, ...options);
    // the same, its name corrected
    const text = await readFile(nameFile(made, 3), 'utf8');
    await writeFile(nameFile(made, 2), text.replace('app:3', 'app:2'));
    await panamaxFails('untrusted', /the signature is not of what is said/, 'pull', `${NAME}:2`, ...options);
    // another target's patches in an index
    const index = (i: number) =>
      join(made.store, 'index', `${made.images[i]!.manifestDigest.replace(':', '-')}.json`);
    const [second, third] = await Promise.all(
      [1, 2].map(async (i) => JSON.parse(await readFile(index(i), 'utf8')) as Record<string, unknown>),
    );
    await writeFile(index(2), JSON.stringify({ ...third, patches: second!['patches'] }));
    await panamaxFails('untrusted', /the signature is not of what is said/, 'pull', `${NAME}:3`, ...options);
    await cp(index(1), index(2));
    await panamaxFails('bad-input', /index of another image/, 'pull', `${NAME}:3`, ...options);
    assert.deepEqual(await snapshot(join(made.directory, 'out')), {});
  });

  test('refuses a release that is older than the one accepted under the name', async (t) => {
    const { made, options } = await signed(t);
    const tag = (release: number) =>
      panamaxJson<{ sequence: number }>(
        'tag',
        `${NAME}:stable`,
        join(made.directory, String(release)),
        '--store',
        made.store,
        '--sign',
        join(made.directory, 'owner.key'),
      );
    await tag(2);
    const old = await readFile(nameFile(made, 'stable'));
    await tag(3);
    await panamaxJson('pull', `${NAME}:stable`, ...options);
    const now = await readFile(nameFile(made, 'stable'));
    await writeFile(nameFile(made, 'stable'), old);
    await panamaxFails('untrusted', /an older image under the name/, 'pull', `${NAME}:stable`, ...options);
    // the owner may sign an older release under a new sequence
    await writeFile(nameFile(made, 'stable'), now);
    await tag(2);
    const { target } = await panamaxJson<Outcome>('pull', `${NAME}:stable`, ...options);
    assert.equal(target?.config, made.images[1]!.configDigest);
  });
});

test('apply accepts patches that diff has signed with a trusted key, and no others', async (t) => {
  const { made } = await signed(t);
  const path = (name: string) => join(made.directory, name);
  await panamax('keygen', path('other'));
  const output = ['--source', path('1'), '--output', `oci:${path('out')}`];
  const key = (name: string) => ['--verify-key', path(`${name}.pub`)];
  // of the store, and by diff, in both formats
  const files = (await readdir(made.store, { recursive: true })).filter((file) => file.endsWith('.xdelta'));
  const [source, target, third] = made.images.map(({ manifestDigest }) => manifestDigest.replace(':', '-'));
  const pathOf = (to: string) =>
    join(
      made.store,
      files.find((file) => file.includes(`${to}/${source!}`))!,
    );
  const stored = pathOf(target!);
  await panamaxJson('apply', stored, ...output, ...key('owner'));
  for (const format of ['xdelta', 'oci-delta']) {
    const patch = path(`patch.${format}`);
    const diff = ['diff', path('1'), path('2'), '-o', patch, '--format', format, '--effort', 'fast'];
    await panamaxJson(...(diff as [string]));
    await panamaxFails(
      'untrusted',
      /nobody has signed the patch/,
      'apply',
      patch,
      ...output,
      ...key('owner'),
    );
    await panamaxJson(...(diff as [string]), '--sign', path('owner.key'));
    await panamaxJson('apply', patch, ...output, ...key('other'), ...key('owner'));
    await panamaxFails('untrusted', /not signed by a key/, 'apply', patch, ...output, ...key('other'));
    // another patch's descriptor, and a changed descriptor
    const sound = await readFile(`${patch}.json`, 'utf8');
    const other = ['--descriptor', `${pathOf(third!)}.json`];
    await panamaxFails(
      'bad-patch',
      /not the one that was signed/,
      'apply',
      patch,
      ...output,
      ...key('owner'),
      ...other,
    );
    const digests = [made.images[1]!.configDigest, made.images[2]!.configDigest] as const;
    await writeFile(`${patch}.json`, sound.replaceAll(...digests));
    await panamaxFails(
      'untrusted',
      /the signature is not of what is said/,
      'apply',
      patch,
      ...output,
      ...key('owner'),
    );
  }
});

/** The variable that tells each command its engine's socket. */
const ENGINE_PLACES = [
  ['docker', 'docker', 'DOCKER_HOST', 'unix://'],
  ['containerd', 'ctr', 'CONTAINERD_ADDRESS', ''],
] as const;

for (const [engine, program, variable, scheme] of ENGINE_PLACES) {
  test(
    `pull fails if ${engine} does not answer, also in a dry run`,
    { skip: missing(program) },
    async (t) => {
      const made = await makeSiteStore(t);
      const socket = join(made.directory, 'socket');
      const env = { ...process.env, [variable]: `${scheme}${socket}` };
      const options = [`${NAME}:2`, '--store', made.store, '--engine', engine, ...made.site];
      // with a source that cannot be read the error is still about the engine
      const runs = [['--dry-run'], ['--dry-run', '--source', 'oci:/none'], []];
      // in parallel, because ctr tries for ten seconds
      const pull = (more: readonly string[]) => panamaxWith(env, 'pull', ...options, ...more);
      for (const { code, stdout, stderr } of await Promise.all(runs.map(pull))) {
        assert.equal(code, EXIT_CODES.io, stdout + stderr);
        assert.equal(stdout, '');
        assert.ok(stderr.includes(socket), stderr);
      }
    },
  );
}

test('pull fails if docker is not installed, also in a dry run', async (t) => {
  const made = await makeSiteStore(t);
  const env = { ...process.env, PATH: made.directory };
  const options = [`${NAME}:2`, '--store', made.store, ...made.site];
  for (const more of [['--dry-run'], []]) {
    const { code, stdout, stderr } = await panamaxWith(env, 'pull', ...options, ...more);
    assert.equal(code, EXIT_CODES.io, stdout + stderr);
    assert.match(stderr, /docker/);
  }
});

for (const [transport, engine] of Object.entries(SITE_ENGINES)) {
  test(
    `pull brings the second release to ${transport} from the first`,
    { skip: missing(...engine.programs, 'skopeo') || notRoot() },
    async (t) => {
      const made = await makeSiteStore(t);
      const web = await startWeb(t, made.store);
      const user = await engine.start(t);
      const { env, command } = user;
      const first = join(made.directory, 'first.tar');
      await skopeoCopy(`oci:${made.directory}/1`, `docker-archive:${first}:${NAME}:1`);
      await engine.load(user, first);
      const options = [`${NAME}:2`, '--store', web.url, '--engine', transport, ...made.site];
      const pull = async (...args: string[]) => {
        const { code, stdout, stderr } = await panamaxWith(env, 'pull', ...args, '--json');
        assert.equal(code, 0, stderr);
        return JSON.parse(stdout) as Outcome;
      };
      assert.equal((await pull(...options, '--dry-run')).method, 'patch');
      const outcome = await pull(...options);
      assert.equal(outcome.method, 'patch');
      assert.equal(outcome.target?.config, made.images[1]!.configDigest);
      assert.ok(
        outcome.movedBytes < 0.05 * outcome.pullBytes,
        `${outcome.movedBytes} of ${outcome.pullBytes}`,
      );
      // the engine has the image by name and ID: nothing is done
      const again = await pull(...options);
      assert.equal(again.method, 'none');
      const list =
        transport === 'containerd' ? await command('images', 'ls') : await command('images', '--no-trunc');
      assert.match(list, /team\/app:?\s*2/);
      // neither a patch nor a registry: the error has both reasons
      const { code, stderr } = await panamaxWith(env, 'pull', `${NAME}:9`, ...options.slice(1));
      assert.equal(code, EXIT_CODES.io, stderr);
      // for containerd panamax pulls itself, with Docker's credentials
      const refusal = transport === 'containerd' ? 'registry: .*registry.example' : 'the engine refuses: ';
      assert.match(stderr, new RegExp(`${refusal}.*before that: the store knows no .*:9`, 's'));
      await mkdir(join(made.directory, 'scratch'), { recursive: true });
      assert.deepEqual(await readdir(join(made.directory, 'scratch')), []);
    },
  );
}
