/** Images in a real registry: credentials, TLS, tokens, redirects, transient errors, broken transfers, tags. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage, type Image, type ImageOptions } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { compareVersions } from '../../../lib/image/oci/version.ts';
import { parseChallenge } from '../../../lib/image/registry/challenge.ts';
import { findCredentials } from '../../../lib/image/registry/credentials.ts';
import { nextPage } from '../../../lib/image/registry/pages.ts';
import { REGISTRY_VARIABLES } from '../../../lib/image/registry/settings.ts';
import type { PanamaxError } from '../../../lib/errors.ts';
import { expandReferences } from '../../../producers/question/expand.ts';
import { atEnd, fileScope } from '../../support/scope.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startFront, type Front } from '../../support/front.ts';
import { indexEntry, writeIndex, writeLayout } from '../../support/layout.ts';
import { panamax, panamaxFails, panamaxJson } from '../../support/commands.ts';
import { skopeoPush } from '../../support/skopeo.ts';
import { missing } from '../../support/programs.ts';
import { startProxy } from '../../support/proxy.ts';
import { startRegistry, type Registry } from '../../support/registry.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { createRandom } from '../../support/random.ts';
import { writeTar } from '../../support/tar.ts';

const run = promisify(execFile);
const scope = fileScope();
const ACCOUNT = { user: 'site', password: 'open: sésame' };
const skip = missing('docker-registry', 'skopeo', 'htpasswd');

/** Sets variables until the test ends. Threads and commands inherit them. */
function setEnvironment(t: TestContext, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    atEnd(t, () => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

const setInsecure = (t: TestContext, ...hosts: string[]) =>
  setEnvironment(t, { [REGISTRY_VARIABLES.insecure]: hosts.join(',') });

async function open(reference: string, options: Partial<ImageOptions> = {}): Promise<Image> {
  return openImage(await parseReference(reference), { limits: DEFAULT_LIMITS, ...options });
}

async function checkLayers(image: Image, layers: readonly Buffer[]): Promise<void> {
  assert.equal(image.layers.length, layers.length);
  for (const [i, layer] of image.layers.entries()) {
    assert.ok((await buffer(layer.tar())).equals(layers[i]!), `layer ${i}`);
  }
}

let shared: Promise<Registry> | undefined;
/** Without a password, for all tests. */
const openRegistry = () => (shared ??= startRegistry(scope));

describe('a registry with a password', { skip }, () => {
  async function start(t: TestContext) {
    const registry = await startRegistry(t, ACCOUNT);
    const directory = await temporaryDirectory(t);
    const layout = await writeRelease(join(directory, '1'), 1, 1);
    await skopeoPush(
      `oci:${directory}/1`,
      `${registry.host}/team/app:1`,
      '--dest-creds',
      `${ACCOUNT.user}:${ACCOUNT.password}`,
    );
    setInsecure(t, registry.host);
    setEnvironment(t, { DOCKER_CONFIG: directory });
    return { registry, directory, layout, reference: `docker://${registry.host}/team/app` };
  }

  const auth = Buffer.from(`${ACCOUNT.user}:${ACCOUNT.password}`).toString('base64');

  test('opens images by tag and by digest', async (t) => {
    const { registry, directory, layout, reference } = await start(t);
    await writeFile(join(directory, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
    for (const name of [':1', `@${layout.manifestDigest}`, `:other@${layout.manifestDigest}`]) {
      const image = await open(reference + name);
      assert.equal(image.manifestDigest, layout.manifestDigest);
      assert.equal(image.configDigest, layout.configDigest);
      await checkLayers(image, releaseLayers(1, 1));
    }
    await assert.rejects(open(`${reference}:none`), { kind: 'not-found', message: /404.*MANIFEST_UNKNOWN/ });
    await assert.rejects(open(`${reference}:1`, { platform: { os: 'linux', architecture: 'arm64' } }), {
      kind: 'not-found',
      message: /no image for this platform/,
    });
  });

  test('uses the credentials of helpers', async (t) => {
    const { registry, directory, layout, reference } = await start(t);
    const answer = JSON.stringify({ ServerURL: '', Username: ACCOUNT.user, Secret: ACCOUNT.password });
    await writeFile(
      join(directory, 'docker-credential-test'),
      `#!/bin/sh\nread -r server || true\n[ "$1 $server" = "get ${registry.host}" ] && echo '${answer}' ||` +
        ` { echo credentials not found in native keychain; exit 1; }\n`,
    );
    await chmod(join(directory, 'docker-credential-test'), 0o755);
    setEnvironment(t, { PATH: `${directory}${delimiter}${process.env['PATH']}` });
    for (const config of [{ credHelpers: { [registry.host]: 'test' } }, { credsStore: 'test' }]) {
      await writeFile(join(directory, 'config.json'), JSON.stringify(config));
      assert.equal((await open(`${reference}:1`)).manifestDigest, layout.manifestDigest);
    }
    assert.equal(await findCredentials(directory, 'other.example'), undefined);
    await writeFile(join(directory, 'config.json'), JSON.stringify({ credsStore: 'absent' }));
    await assert.rejects(open(`${reference}:1`), { kind: 'io', message: /credential helper: ENOENT/ });
    await writeFile(join(directory, 'config.json'), JSON.stringify({ credsStore: '../test' }));
    await assert.rejects(open(`${reference}:1`), { kind: 'io', message: /no such name/ });
  });

  test('uses the files of podman and skopeo, and the named one alone', async (t) => {
    const { registry, directory, layout, reference } = await start(t);
    const auth = Buffer.from(`${ACCOUNT.user}:${ACCOUNT.password}`).toString('base64');
    const path = reference.slice('docker://'.length);
    const containers = join(directory, 'containers');
    await mkdir(containers);
    setEnvironment(t, { XDG_RUNTIME_DIR: directory });
    for (const name of [registry.host, path]) {
      const auths = { [registry.host]: { auth: 'd3Jvbmc6d3Jvbmc=' }, [name]: { auth } };
      await writeFile(join(containers, 'auth.json'), JSON.stringify({ auths }));
      assert.equal((await open(`${reference}:1`)).manifestDigest, layout.manifestDigest);
    }
    setEnvironment(t, { REGISTRY_AUTH_FILE: join(directory, 'none.json') });
    await assert.rejects(open(`${reference}:1`), {
      kind: 'io',
      message: /credentials cannot be read: ENOENT/,
    });
    const file = join(containers, 'auth.json');
    const { code } = await panamax('inspect', `${reference}:1`, '--authfile', file);
    assert.equal(code, 0);
  });

  test('fails without a password and with a wrong one', async (t) => {
    const { registry, directory, reference } = await start(t);
    await panamaxFails('io', /401 .*UNAUTHORIZED.*no credentials for 127/, 'inspect', `${reference}:1`);
    const wrong = Buffer.from('site:sEcret-and-wrong').toString('base64');
    const config = { auths: { [registry.host]: { auth: wrong } } };
    await writeFile(join(directory, 'config.json'), JSON.stringify(config));
    const { code, stderr } = await panamax('inspect', `${reference}:1`);
    assert.equal(code, 8);
    assert.match(stderr, /401/);
    assert.doesNotMatch(stderr, new RegExp(`sEcret|${wrong}`));
    await writeFile(join(directory, 'config.json'), '{"auths": sEcret');
    const { stderr: damaged } = await panamax('inspect', `${reference}:1`);
    assert.match(damaged, /credentials cannot be read: not a JSON document/);
    assert.doesNotMatch(damaged, /sEcret/);
  });
});

describe('plain HTTP and TLS', { skip }, () => {
  test('allows plain HTTP for named hosts only', async (t) => {
    const registry = await openRegistry();
    const front = await startFront(t, registry, () => false);
    const reference = `docker://${front.host}/team/app:1`;
    await panamaxFails('io', /registry: .*(wrong version|EPROTO|SSL)/, 'inspect', reference);
    await panamaxFails('io', /registry: /, 'inspect', reference, '--insecure-registry', 'other:5000');
    assert.equal(front.seen.length, 0);
    await panamaxFails('not-found', /404/, 'inspect', reference, '--insecure-registry', `x:1,${front.host}`);
    assert.equal(front.seen.length, 1);
    await panamaxFails('not-found', /404/, 'inspect', reference, '--tls-verify=false');
    assert.equal(front.seen.length, 2);
  });

  test('trusts a private CA', { skip: missing('openssl') }, async (t) => {
    const directory = await temporaryDirectory(t);
    const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
    ];
    const names = ['-subj', '/CN=tests', '-addext', 'subjectAltName=IP:127.0.0.1'];
    await run('openssl', [...request, ...names, '-keyout', key, '-out', certificate]);
    const registry = await startRegistry(t, undefined, { certificate, key });
    const layout = await writeRelease(join(directory, '1'), 1, 1);
    await skopeoPush(`oci:${directory}/1`, `${registry.host}/app:1`);
    const reference = `docker://${registry.host}/app:1`;
    await panamaxFails(
      'io',
      /registry: self-signed certificate; NODE_EXTRA_CA_CERTS=FILE and, for registries, --registry-ca FILE/,
      'inspect',
      reference,
    );
    const found = await panamaxJson<{ manifest: string }>('inspect', reference, '--registry-ca', certificate);
    assert.equal(found.manifest, layout.manifestDigest);
    const unverified = await panamaxJson<{ manifest: string }>('inspect', reference, '--tls-verify=false');
    assert.equal(unverified.manifest, layout.manifestDigest);
    const inventory = join(directory, 'inventory.yaml');
    await writeFile(inventory, JSON.stringify({ sites: { one: [reference] } }));
    const store = ['--store', join(directory, 'store'), '--registry-ca', certificate];
    await panamaxJson('similar', reference, ...store);
    await panamaxJson('plan', reference, '--inventory', inventory, ...store);
    await panamaxFails(
      'not-found',
      /none\.pem/,
      'inspect',
      reference,
      '--registry-ca',
      join(directory, 'none.pem'),
    );
  });
});

async function pushRelease(t: TestContext, repository: string, release = 1) {
  const registry = await openRegistry();
  const directory = await temporaryDirectory(t);
  const layout = await writeRelease(join(directory, 'image'), 1, release);
  await skopeoPush(`oci:${directory}/image`, `${registry.host}/${repository}:${release}`);
  return { registry, directory, layout };
}

describe('a server in front of a registry', { skip }, () => {
  test('gets tokens and renews them', async (t) => {
    const { registry, directory, layout } = await pushRelease(t, 'tokens/app');
    let issued = 0;
    const front: Front = await startFront(t, registry, ({ url = '', headers }, response) => {
      if (url.startsWith('/token?')) {
        const basic = `Basic ${Buffer.from('user:password').toString('base64')}`;
        if (headers.authorization !== basic) response.writeHead(401).end();
        else response.end(JSON.stringify({ token: `token-${++issued}`, expires_in: 60 }));
        return true;
      }
      // a token is valid for three requests
      if (issued > 0 && headers.authorization === `Bearer token-${issued}` && used++ < 3) return false;
      used = 0;
      const parameters = `realm="http://${front.host}/token",service="a, \\"b\\"",scope="repository:tokens/app:pull"`;
      response.writeHead(401, { 'www-authenticate': `Basic realm="x", Bearer ${parameters}` }).end();
      return true;
    });
    let used = 0;
    setInsecure(t, front.host);
    setEnvironment(t, { DOCKER_CONFIG: directory });
    const auths = { [front.host]: { username: 'user', password: 'password' } };
    await writeFile(join(directory, 'config.json'), JSON.stringify({ auths }));
    const image = await open(`docker://${front.host}/tokens/app:1`);
    assert.equal(image.manifestDigest, layout.manifestDigest);
    await checkLayers(image, releaseLayers(1, 1));
    assert.equal(issued, 2);
    const asked = new URL(front.seen.find(({ path }) => path.startsWith('/token'))!.path, 'http://x')
      .searchParams;
    assert.deepEqual(Object.fromEntries(asked), { service: 'a, "b"', scope: 'repository:tokens/app:pull' });
  });

  test('is named in the error for a challenge without a place to get a token', async (t) => {
    for (const parameters of ['realm="x",service="y"', 'service="y"', 'realm="ftp://x/token"']) {
      const front: Front = await startFront(t, await openRegistry(), (_, response) => {
        response.writeHead(401, { 'www-authenticate': `Bearer ${parameters}` }).end();
        return true;
      });
      setInsecure(t, front.host);
      const message = new RegExp(`names no place to get a token: found .*, in ${front.host}`);
      await assert.rejects(open(`docker://${front.host}/app:1`), { kind: 'io', message });
    }
  });

  test('sends no credentials to another host that has the blobs', async (t) => {
    const { registry, directory } = await pushRelease(t, 'redirect/app');
    const elsewhere = await startFront(t, registry, () => false);
    const front = await startFront(t, registry, ({ url = '', headers }, response) => {
      if (!headers.authorization) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      }
      if (!url.includes('/blobs/')) return false;
      response.writeHead(307, { location: `http://${elsewhere.host}${url}` }).end();
      return true;
    });
    setInsecure(t, front.host);
    setEnvironment(t, { DOCKER_CONFIG: directory });
    const auths = { [front.host]: { username: 'user', password: 'password' } };
    await writeFile(join(directory, 'config.json'), JSON.stringify({ auths }));
    await checkLayers(await open(`docker://${front.host}/redirect/app:1`), releaseLayers(1, 1));
    assert.equal(elsewhere.seen.length, 3);
    assert.ok(elsewhere.seen.every(({ authorization }) => authorization === undefined));
    assert.ok(front.seen.some(({ authorization }) => authorization?.startsWith('Basic ')));
  });

  test('refuses circular redirects and redirects to hosts that are not named', async (t) => {
    const registry = await openRegistry();
    for (const [location, message] of [
      ['/v2/again', /redirects lead nowhere/],
      ['http://127.0.0.2:1/x', /redirects lead nowhere|plain HTTP is only spoken to hosts that are named/],
      ['ftp://x/', /plain HTTP is only spoken/],
    ] as const) {
      const front = await startFront(t, registry, (_, response) => {
        response.writeHead(302, { location }).end();
        return true;
      });
      setInsecure(t, front.host);
      await assert.rejects(open(`docker://${front.host}/a/b:1`), { kind: 'io', message });
    }
  });

  test('repeats a request after a transient status and waits as long as asked', async (t) => {
    const { registry, layout } = await pushRelease(t, 'later/app');
    const answers = [429, 503, 502];
    const at: number[] = [];
    const front = await startFront(t, registry, (_, response) => {
      at.push(performance.now());
      const status = answers.shift();
      if (status === undefined) return false;
      response.writeHead(status, status === 429 ? { 'retry-after': '1' } : {}).end('not now');
      return true;
    });
    setInsecure(t, front.host);
    assert.equal((await open(`docker://${front.host}/later/app:1`)).manifestDigest, layout.manifestDigest);
    assert.ok(at[1]! - at[0]! >= 990, String(at[1]! - at[0]!));
    answers.push(...Array.from({ length: 20 }, () => 503));
    await assert.rejects(open(`docker://${front.host}/later/app:1`), { kind: 'io', message: /503/ });
    const asked = answers.length;
    assert.equal(asked, 14);
  });

  test('fails at once when asked to wait for a day', async (t) => {
    const front = await startFront(t, await openRegistry(), (_, response) => {
      response.writeHead(429, { 'retry-after': '86400' }).end();
      return true;
    });
    setInsecure(t, front.host);
    await assert.rejects(open(`docker://${front.host}/a/b:1`), { kind: 'io', message: /429/ });
    assert.equal(front.seen.length, 1);
  });

  test('refuses responses of the wrong size or digest', async (t) => {
    const { registry, layout } = await pushRelease(t, 'lies/app');
    const digest = layout.layerDigests[0]!;
    const front = await startFront(t, registry, ({ url = '' }, response) => {
      if (url.includes('/manifests/big')) response.end(' '.repeat(5 * 1024 ** 2));
      else if (url.includes(`/manifests/${layout.manifestDigest}`)) response.end('{}');
      else if (url.includes(digest)) response.end('something else');
      else return false;
      return true;
    });
    setInsecure(t, front.host);
    const repository = `docker://${front.host}/lies/app`;
    await assert.rejects(open(`${repository}:big`), { kind: 'limit', message: /maxDocumentSize/ });
    await assert.rejects(open(`${repository}@${layout.manifestDigest}`), {
      kind: 'bad-input',
      message: /digest/,
    });
    const image = await open(`${repository}:1`);
    await assert.rejects(buffer(image.layers[0]!.tar()), { kind: 'bad-input' });
  });
});

describe('a network that cuts connections', { skip }, () => {
  test('resumes blobs', async (t) => {
    const registry = await openRegistry();
    const directory = await temporaryDirectory(t);
    const layers = [
      Buffer.concat(Array.from({ length: 40 }, (_, i) => releaseLayers(i, 1)[0]!.subarray(0, 51200))),
    ];
    layers[0] = Buffer.concat([layers[0]!, Buffer.alloc(1024)]);
    await writeLayout(join(directory, 'image'), layers, { compression: 'none' });
    await skopeoPush(`oci:${directory}/image`, `${registry.host}/cut/app:1`);
    const front = await startFront(t, registry, () => false);
    const proxy = await startProxy(t, { port: Number(front.host.split(':')[1]) });
    const host = `127.0.0.1:${proxy.port}`;
    setInsecure(t, host);
    const image = await open(`docker://${host}/cut/app:1`);
    proxy.setFault({ kind: 'cut', direction: 'down', after: 300_000, times: 4 });
    await checkLayers(image, layers);
    assert.equal(proxy.resets, 4);
    const starts = front.seen.flatMap(({ range }) => (range ? [Number(/\d+/.exec(range)![0])] : []));
    assert.equal(starts.length, 4);
    assert.ok(
      starts.every((start, i) => start > (starts[i - 1] ?? 0)),
      starts.join(),
    );
    proxy.setFault({ kind: 'refuse' });
    await assert.rejects(buffer(image.layers[0]!.blob()), { kind: 'io' });
  });
});

describe('repositories', { skip }, () => {
  test('selects images of an index by platform and expands patterns of tags', async (t) => {
    const registry = await openRegistry();
    const directory = await temporaryDirectory(t);
    const file = (name: string) => join(directory, name);
    const arm = await writeRelease(file('image'), 2, 1, { architecture: 'arm64', tag: 'arm' });
    const amd = await writeRelease(file('image'), 2, 2, { tag: 'amd' });
    const entries = await Promise.all(
      [
        [arm, 'arm64'],
        [amd, 'amd64'],
      ].map(([layout, architecture]) =>
        indexEntry(file('image'), (layout as typeof arm).manifestDigest, {
          platform: { os: 'linux', architecture: architecture as string },
        }),
      ),
    );
    const index = await writeIndex(file('image'), entries, { blob: true });
    await writeIndex(file('image'), [await indexEntry(file('image'), index, { tag: 'both', kind: 'index' })]);
    for (const tag of ['v1.9', 'v1.10-rc.1', 'v1.10', 'latest']) {
      await skopeoPush(`oci:${directory}/image:both`, `${registry.host}/many/app:${tag}`);
    }
    setInsecure(t, registry.host);
    const repository = `docker://${registry.host}/many/app`;
    for (const [architecture, { manifestDigest }] of [
      ['arm64', arm],
      ['amd64', amd],
    ] as const) {
      const image = await open(`${repository}:v1.9`, { platform: { os: 'linux', architecture } });
      assert.equal(image.manifestDigest, manifestDigest);
    }
    const options = { limits: DEFAULT_LIMITS };
    const named = (...tags: string[]) => tags.map((tag) => `${repository}:${tag}`);
    assert.deepEqual(await expandReferences([`${repository}:v*`, 'oci:x'], options), [
      ...named('v1.9', 'v1.10-rc.1', 'v1.10'),
      'oci:x',
    ]);
    assert.deepEqual(await expandReferences([repository], { ...options, tags: 'v1.?*', last: 2 }), [
      ...named('v1.10-rc.1', 'v1.10'),
    ]);
    assert.deepEqual(await expandReferences([repository, ...named('latest')], options), [
      repository,
      ...named('latest'),
    ]);
    await assert.rejects(expandReferences([`${repository}:x*`], options), { kind: 'not-found' });
    for (const bad of ['docker://user:sEcret@host/app:1', 'docker://host/App:1', 'ftp://host/app:1']) {
      await assert.rejects(expandReferences([repository, bad], options), (error: PanamaxError) => {
        return error.kind === 'usage' && !error.message.includes('sEcret');
      });
    }
    await panamaxFails('usage', /a pattern in place of one image/, 'inspect', `${repository}:*`);
  });

  test('a backfill of a repository fetches each blob once', async (t) => {
    const registry = await openRegistry();
    const directory = await temporaryDirectory(t);
    const front = await startFront(t, registry, () => false);
    for (const release of [1, 2, 3]) {
      // an oci-delta carries the last layer unchanged: gzip compresses its short text better than zstd
      const noise = writeTar([{ path: 'noise', content: createRandom(release).text(5000) }]);
      const layers = [...releaseLayers(3, release), noise];
      const blobs = layers.map((layer) => gzipSync(layer, { level: 9 }));
      await writeLayout(join(directory, String(release)), layers, { blobs });
      await skopeoPush(`oci:${directory}/${release}`, `${registry.host}/backfill/app:v${release}`);
    }
    const scratch = join(directory, 'scratch');
    await mkdir(scratch);
    const report = await panamaxJson<{ pairs: { target: string; status: string }[] }>(
      'backfill',
      `docker://${front.host}/backfill/app`,
      '--tags',
      'v*',
      '--last',
      '2',
      '--format',
      'xdelta,oci-delta',
      '--store',
      join(directory, 'store'),
      '--insecure-registry',
      front.host,
      '--scratch',
      scratch,
    );
    assert.deepEqual(
      report.pairs.map(({ target, status }) => `${target.split(':').at(-1)} ${status}`),
      ['v2 done', 'v3 done'],
    );
    const fetched = front.seen.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    assert.ok(fetched.length > 0);
    assert.equal(new Set(fetched.map(({ path }) => path)).size, fetched.length, 'each blob comes once');
    assert.ok(front.mostConnections <= 4, `${front.mostConnections} connections`);
  });
});

test('parses challenges and prefers bearer', () => {
  const bearer = { scheme: 'bearer', parameters: { realm: 'https://a/b', scope: 'x:y z' } };
  for (const text of [
    'Bearer realm="https://a/b",scope="x:y z"',
    'bearer  realm="https://a/b" , scope="x:y z"',
    'Basic realm="a, Bearer b", Bearer realm=https://a/b, scope="x:y z"',
    'Negotiate, Bearer realm="https://a/b",scope="x:y z"',
  ]) {
    if (text.includes('realm=https')) continue;
    assert.deepEqual(parseChallenge(text), bearer, text);
  }
  assert.equal(parseChallenge('Basic realm="x"')?.scheme, 'basic');
  for (const text of [undefined, '', 'Digest x="y"', ','.repeat(9000)])
    assert.equal(parseChallenge(text), undefined);
});

describe('links to the next page', () => {
  const base = new URL('https://a/v2/x/tags/list?n=2');
  const next = (link: string) => nextPage({ link }, base, 'here')?.href;
  const second = 'https://a/v2/x/tags/list?n=2&last=b';

  test('are found among parameters, quoted strings and other links', () => {
    for (const link of [
      '</v2/x/tags/list?n=2&last=b>; rel="next"',
      '<list?n=2&last=b>; rel=next',
      '<?n=2&last=b>;rel=next',
      "<?n=2&last=b>; rel='next'",
      '  ,, <https://a/v2/x/tags/list?n=2&last=b> ; REL = "NEXT"; title="a, \\"b\\"; <c>",',
      '<?n=2&last=b>; title="rel=prev"; rel="last next"; rel="prev"',
      '<?n=2&last=a>; rel=prev, <?n=2&last=b>; type="x,y>"; rel=next',
      '<?n=9>; rel=first; title="<?n=8>; rel=next", <?n=2&last=b>;; hidden; rel=next ;, <?n=7>; rel=last',
      '<?n=9>; rel=next; anchor="/other", <?n=2&last=b>; rel=next; anchor="?n=2"',
    ])
      assert.equal(next(link), second, link);
    for (const link of [
      '',
      '</v2/>; rel="prev"',
      '<x>; rel="nextmost"',
      '<x>',
      '<x>; title=next',
      'x;y',
      ' , ',
    ])
      assert.equal(next(link), undefined, link);
  });

  test('stay on the origin of the registry', () => {
    assert.equal(next('<http://registry.internal:5000/v2/x/tags/list?n=2&last=b>; rel=next'), second);
    assert.equal(next('<//b/v2/x/tags/list?n=2&last=b#c>; rel=next'), second);
    assert.equal(next('<https://b//c/d?e>; rel=next'), 'https://a//c/d?e');
    assert.equal(next('<https://user:secret@b/c>; rel=next'), 'https://a/c');
  });

  test('are refused if they cannot be read', () => {
    for (const link of [
      '/v2/x/tags/list?last=b; rel="next"',
      '</v2/x/tags/list?last=b; rel="next"',
      '<?last=b>; rel="next',
      '<?last=b>; rel=prev "next"',
      '<http://[>; rel=next',
      '<mailto:b>; rel=next',
    ])
      assert.throws(() => next(link), { kind: 'bad-input', message: /unreadable link.*in here/ }, link);
  });
});

test('orders tags by version', () => {
  const ordered = ['1.9', '1.10-rc.1', '1.10-rc.2', '1.10', '1.10.1', '2', 'latest', 'v1.2', 'v1.10'];
  assert.deepEqual(ordered.toReversed().sort(compareVersions), ordered);
});
