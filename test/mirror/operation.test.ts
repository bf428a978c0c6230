/** How a mirror is run: access, sources, pages, prefetching, quota. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Digest } from '../../lib/digest.ts';
import type { PanamaxError } from '../../lib/errors.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import { openLink } from '../../lib/mirror/link.ts';
import { isOpen, parseWindow } from '../../lib/mirror/window.ts';
import { openBlobCache, type Blob } from '../../lib/mirror/blobcache.ts';
import { engineConfig } from '../../lib/mirror/engineconfig.ts';
import { createHeldImages } from '../../lib/mirror/heldimages.ts';
import { removeOver } from '../../lib/mirror/quota.ts';
import { openRecords } from '../../lib/mirror/records.ts';
import { parseUpstream } from '../../lib/mirror/upstream.ts';
import { makeCertificate } from '../support/certificate.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOf, writeLayout } from '../support/layout.ts';
import { startMirror } from '../support/mirror.ts';
import { panamax, panamaxJson, panamaxWith } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { startRegistry } from '../support/registry.ts';
import { writeRelease } from '../support/releases.ts';
import { skopeoCopy, skopeoManifest, skopeoPush } from '../support/skopeo.ts';
import { writeTar } from '../support/tar.ts';
import { until } from '../support/worker.ts';

const run = promisify(execFile);
const NAME = 'registry.example/team/app:1';

describe('a mirror with TLS and accounts', { skip: missing('docker-registry', 'skopeo', 'openssl') }, () => {
  test('serves known users only, and holds what was prefetched', async (t) => {
    const registry = await startRegistry(t);
    const directory = await temporaryDirectory(t);
    const layout = join(directory, 'layout');
    const image = await writeRelease(layout, 1, 1);
    await skopeoPush(`oci:${layout}`, `${registry.host}/team/app:1`);
    const followed = await writeRelease(join(directory, 'followed'), 1, 2);
    await skopeoPush(`oci:${join(directory, 'followed')}`, `${registry.host}/team/app:two`);
    const { certificate, key } = await makeCertificate(directory);
    const accounts = join(directory, 'accounts');
    await writeFile(accounts, '# people\nsite:secret\n\nother:pass:word\n');
    const names = join(directory, 'names');
    await writeFile(names, '# followed\nregistry.example/team/app:two\n\nregistry.example/team/app:none\n');
    const options = ['--tls-cert', certificate, '--tls-key', key, '--accounts', accounts, '--follow', names];
    const upstream = ['--upstream', `registry.example=http://${registry.host}`];
    const mirror = await startMirror(t, directory, ...upstream, ...options);

    const ca = await readFile(certificate);
    const get = async (path: string, auth?: string): Promise<IncomingMessage> => {
      const settings: RequestOptions = { path, ca, ...(auth !== undefined && { auth }) };
      const [response] = (await once(request(`https://${mirror.host}`, settings).end(), 'response')) as [
        IncomingMessage,
      ];
      return response.resume();
    };
    for (const auth of [undefined, 'site:wrong', 'site', 'nobody:secret']) {
      const refused = await get('/v2/', auth);
      assert.equal(refused.statusCode, 401);
      assert.match(refused.headers['www-authenticate'] ?? '', /^Basic/);
    }
    for (const auth of ['site:secret', 'other:pass:word'])
      assert.equal((await get('/v2/', auth)).statusCode, 200);
    for (const page of ['/healthz', '/readyz']) assert.equal((await get(page)).statusCode, 200);

    const login = { auths: { [mirror.host]: { auth: Buffer.from('site:secret').toString('base64') } } };
    await writeFile(join(directory, 'config.json'), JSON.stringify(login));
    const env = { ...process.env, DOCKER_CONFIG: directory };
    const args = [
      'mirror',
      'prefetch',
      NAME,
      '--mirror',
      `https://${mirror.host}`,
      '--registry-ca',
      certificate,
    ];
    const { code, stdout, stderr } = await panamaxWith(env, ...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(image.manifestDigest));
    await until(
      async () => mirror.log.map(({ name }) => name),
      (seen) => seen.includes('registry.example/team/app:none'),
    );
    await registry.stop();
    assert.equal((await get('/v2/registry.example/team/app/manifests/two', 'site:secret')).statusCode, 200);
    for (const digest of [...image.layerDigests, ...followed.layerDigests]) {
      const path = `/v2/registry.example/team/app/blobs/${digest}`;
      assert.equal((await get(path, 'site:secret')).statusCode, 200);
    }
  });
});

const skip = missing('docker-registry', 'skopeo', 'openssl');

test('a mirror with --client-ca serves clients with a certificate, and nobody else', { skip }, async (t) => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  const { manifestDigest } = await writeRelease(join(directory, 'layout'), 1, 1);
  await skopeoPush(`oci:${join(directory, 'layout')}`, `${registry.host}/team/app:1`);
  const [site, stranger] = [join(directory, 'site'), join(directory, 'stranger')];
  for (const path of [site, stranger]) await mkdir(path);
  const own = await makeCertificate(site);
  const other = await makeCertificate(stranger);
  const tls = ['--tls-cert', own.certificate, '--tls-key', own.key, '--client-ca', own.certificate];
  const upstream = ['--upstream', `registry.example=http://${registry.host}`];
  const mirror = await startMirror(t, directory, ...upstream, ...tls);

  /** A directory of certificates as docker and skopeo take it. */
  const certificates = async (name: string, client?: { certificate: string; key: string }) => {
    const path = join(directory, name);
    await mkdir(path);
    await cp(own.certificate, join(path, 'ca.crt'));
    if (client) await cp(client.certificate, join(path, 'client.cert'));
    if (client) await cp(client.key, join(path, 'client.key'));
    return path;
  };
  const known = await certificates('known', own);
  await copyWith(known);
  assert.equal(await skopeoManifest(`dir:${known}.image`), manifestDigest);
  // a client may see that the connection is closed before it sees why
  const refused = /tls:|EOF|reset by peer|server closed idle connection/;
  await assert.rejects(copyWith(await certificates('nobody')), refused);
  await assert.rejects(copyWith(await certificates('other', other)), refused);

  async function copyWith(path: string): Promise<void> {
    const options = ['--insecure-policy', 'copy', '-q', '--src-cert-dir', path];
    await run('skopeo', [...options, `docker://${mirror.host}/${NAME}`, `dir:${path}.image`]);
  }
});

const noAccounts = missing('docker-registry', 'skopeo', 'htpasswd');

test(
  'a mirror with --ask-upstream serves users that the registry accepts',
  { skip: noAccounts },
  async (t) => {
    const registry = await startRegistry(t, { user: 'site', password: 'pass:word' });
    const directory = await temporaryDirectory(t);
    const path = (name: string) => join(directory, name);
    const { manifestDigest, layerDigests } = await writeRelease(path('layout'), 1, 1);
    const owner = ['--dest-creds', 'site:pass:word'];
    await skopeoPush(`oci:${path('layout')}`, `${registry.host}/team/app:1`, ...owner);
    const login = { auths: { [registry.host]: { auth: Buffer.from('site:pass:word').toString('base64') } } };
    await writeFile(path('config.json'), JSON.stringify(login));
    const upstream = ['--upstream', `registry.example=http://${registry.host}`];
    const mirror = await startMirror(
      t,
      directory,
      ...upstream,
      '--ask-upstream',
      '--authfile',
      path('config.json'),
    );
    const copy = (name: string, ...options: readonly string[]) =>
      run('skopeo', [
        '--insecure-policy',
        'copy',
        '-q',
        '--src-tls-verify=false',
        ...options,
        `docker://${mirror.host}/${NAME}`,
        `dir:${path(name)}`,
      ]);
    const status = async (rest: string, user?: string) => {
      const headers =
        user === undefined ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` };
      const response = await fetch(`${mirror.url}/v2/${rest}`, { headers });
      await response.arrayBuffer();
      return response.status;
    };

    await copy('known', '--src-creds', 'site:pass:word');
    assert.equal(await skopeoManifest(`dir:${path('known')}`), manifestDigest);
    await assert.rejects(copy('wrong', '--src-creds', 'site:word'), /denied|DENIED|unauthorized/i);
    await assert.rejects(copy('nobody', '--src-no-creds'), /unauthorized|authentication required|denied/i);
    const blob = `registry.example/team/app/blobs/${layerDigests[0]}`;
    const held = [
      `registry.example/team/app/manifests/${manifestDigest}`,
      blob,
      'registry.example/team/app/tags/list',
    ];
    for (const rest of held) {
      assert.deepEqual(
        [await status(rest), await status(rest, ':'), await status(rest, 'site:word')],
        [401, 401, 403],
      );
      assert.equal(await status(rest, 'site:pass:word'), 200);
    }
    // a held image is not served under the name of a repository that does not have it
    assert.equal(await status(blob.replace('app', 'other'), 'site:pass:word'), 404);

    await registry.stop();
    assert.equal(await status(blob, 'site:pass:word'), 200);
    assert.equal(await status(blob, 'other:user'), 503);
  },
);

test('a month without budget answers 429, and what is held is served', { skip }, async (t) => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  for (const release of [1, 2]) {
    await writeRelease(join(directory, `${release}`), 1, release);
    await skopeoPush(`oci:${join(directory, `${release}`)}`, `${registry.host}/team/app:${release}`);
  }
  const upstream = ['--upstream', `registry.example=http://${registry.host}`, '--budget', '1K'];
  const mirror = await startMirror(t, directory, ...upstream);
  const copy = (release: number) =>
    skopeoCopy(
      `docker://${mirror.host}/registry.example/team/app:${release}`,
      `dir:${join(directory, `copy-${release}`)}`,
      '--tls-verify=false',
    );
  // the first image crosses the budget and is served whole
  await copy(1);
  const refused = await fetch(`${mirror.url}/v2/registry.example/team/app/manifests/2`);
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), /TOOMANYREQUESTS.*budget of this month is used up/);
  await copy(1);
});

test('images of --source and of import are served without the upstream, and counted', async (t) => {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'layout');
  const image = await writeRelease(layout, 1, 1);
  const imported = join(directory, 'imported');
  const { manifestDigest } = await writeRelease(imported, 1, 2);
  await run('tar', ['-cf', `${imported}.tar`, '-C', imported, '.']);
  const upstream = ['--upstream', 'registry.example=http://127.0.0.1:1'];
  const args = [`${imported}.tar`, '--state', join(directory, 'mirror'), ...upstream];
  const { images } = await panamaxJson<{ images: { digest: string }[] }>('mirror', 'import', ...args);
  assert.deepEqual(
    images.map(({ digest }) => digest),
    [manifestDigest],
  );
  const options = [...upstream, '--source', layout];
  const mirror = await startMirror(t, directory, ...options);
  const api = `${mirror.url}/v2/registry.example/team/app`;
  assert.equal((await fetch(`${api}/manifests/${image.manifestDigest}`)).status, 200);
  for (const digest of [...image.layerDigests, image.configDigest]) {
    const bytes = Buffer.from(await (await fetch(`${api}/blobs/${digest}`)).arrayBuffer());
    assert.equal(digestOf(bytes), digest);
  }
  const metrics = await (await fetch(`${mirror.url}/metrics`)).text();
  assert.match(metrics, /^panamax_mirror_held_images 2$/m);
  assert.match(metrics, /^panamax_mirror_images_total\{way="held"\} 1$/m);
  assert.match(metrics, /^panamax_mirror_moved_bytes_total\{origin="upstream"\} 0$/m);
});

test('a blob on a broken part of the disk is reported, and fetched again', async (t) => {
  const directory = await temporaryDirectory(t);
  const content = Buffer.from('content');
  const [digest, other] = [digestOf(content) as Digest, digestOf(Buffer.from('other')) as Digest];
  const blobs = join(directory, 'sha256');
  await mkdir(blobs);
  // reading it fails with EIO
  await symlink('/proc/self/mem', join(blobs, digest.slice(7)));
  await mkdir(join(blobs, other.slice(7)));
  const failures: PanamaxError[] = [];
  const cache = await openBlobCache(directory, (failure) => void failures.push(failure));
  const read = (blob: Blob) => buffer(cache.read(blob, 0, () => [content] as never));
  const size = cache.held.get(digest)!;
  await assert.rejects(read({ digest, size }), { kind: 'bad-patch' });
  assert.deepEqual(await read({ digest, size: content.length }), content);
  assert.deepEqual(
    failures.map(({ kind, facts }) => [kind, facts.where]),
    [['io', join(blobs, digest.slice(7))]],
  );
  // another failure may pass: the file stays
  const blob = { digest: other, size: cache.held.get(other)! };
  for (const _ of [1, 2]) await assert.rejects(read(blob), { kind: 'io', message: /^EISDIR/ });
  assert.equal(failures.length, 3);
  assert.ok(cache.held.has(other));
});

test('a held image whose config cannot be read now is reported, and used later', async (t) => {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, 'layout');
  const made = await writeLayout(layout, [writeTar([{ path: 'file', content: 'text' }])]);
  await cp(join(layout, 'blobs'), join(directory, 'blobs'), { recursive: true });
  const cache = await openBlobCache(join(directory, 'blobs'));
  const records = await openRecords(directory, cache);
  const config = join(directory, 'blobs', 'sha256', made.configDigest.slice(7));
  const bytes = await readFile(join(layout, 'blobs', 'sha256', made.manifestDigest.slice(7)));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  await records.addManifest({ mediaType, digest: made.manifestDigest as Digest, bytes }, 'app');
  const warned: object[] = [];
  const log = { info: () => {}, warn: (fields: object) => void warned.push(fields) };
  const held = createHeldImages({ cache, records, limits: DEFAULT_LIMITS, log });
  const whole = await readFile(config);
  await rm(config);
  await symlink('/proc/self/mem', config);
  assert.deepEqual(await held.list(), []);
  assert.equal((warned[0] as { kind: string }).kind, 'io');
  await rm(config);
  await writeFile(config, whole);
  assert.deepEqual(
    (await held.list()).map((image) => image.config),
    [made.configDigest],
  );
});

test('the quota removes what was asked for longest ago, never the newest image of a repository', async (t) => {
  const directory = await temporaryDirectory(t);
  const cache = await openBlobCache(join(directory, 'blobs'));
  const records = await openRecords(directory, cache);
  const add = async (repository: string, release: number): Promise<Digest> => {
    const layer = Buffer.alloc(1000, `${repository} ${release}`);
    const blob = { mediaType: '', digest: digestOf(layer) as Digest, size: layer.length };
    await cache.put(blob.digest, layer);
    const bytes = Buffer.from(JSON.stringify({ layers: [blob] }));
    const digest = digestOf(bytes) as Digest;
    const manifest = await records.addManifest({ mediaType: '', digest, bytes }, repository);
    manifest.served = release;
    return digest;
  };
  const [a1, b1, a2, a3] = [await add('a', 1), await add('b', 2), await add('a', 3), await add('a', 4)];
  const orphan = Buffer.from('orphan');
  await cache.put(digestOf(orphan) as Digest, orphan);
  const all = [...cache.held.values()].reduce((sum, size) => sum + size, 0);
  const kept = () => [...records.manifests.keys()];
  const isComing = (digest: Digest) => digest === a2;

  await records.setTag('a:1', { digest: a3, isSigned: true });
  await records.setTag('b:1', { digest: b1, isSigned: false });

  await removeOver(all, { cache, records }, () => false);
  assert.deepEqual(kept(), [a1, b1, a2, a3]);
  await removeOver(all - 10, { cache, records }, isComing);
  assert.deepEqual(kept(), [b1, a2, a3]);
  await removeOver(10, { cache, records }, isComing);
  assert.deepEqual(kept(), [b1, a2, a3]);
  await removeOver(10, { cache, records }, () => false);
  assert.deepEqual(kept(), [b1, a3]);
  assert.equal(cache.held.size, 4);
  const again = await openRecords(directory, await openBlobCache(join(directory, 'blobs')));
  assert.deepEqual([...again.manifests.keys()].toSorted(), [b1, a3].toSorted());
  assert.equal(again.tags.get('a:1')?.isSigned, true);
  assert.equal(again.tags.get('b:1')?.isSigned, false);
});

async function* pieces(count: number): AsyncGenerator<Buffer, void, void> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(1000);
}

const at = (time: string) => new Date(`2026-11-28T${time}:00`);

test('the link passes bytes at its rate, and counts them over restarts', async (t) => {
  const directory = await temporaryDirectory(t);
  const link = await openLink(directory, { rate: 20_000, budget: 10_000 });
  const started = performance.now();
  await Promise.all([buffer(link.limit(pieces(2))), buffer(link.limit(pieces(4)))]);
  assert.ok(performance.now() - started > 250);
  assert.equal(link.isUsedUp, false);
  const again = await openLink(directory, { budget: 10_000 });
  assert.equal(again.used, 6000);
  await buffer(again.limit(pieces(4)));
  assert.equal(again.isUsedUp, true);
});

test('a window is open between its times, over midnight too', () => {
  const [day, night] = [parseWindow('09:00-17:30'), parseWindow('22:00-05:00')];
  assert.deepEqual(
    ['08:59', '09:00', '17:29', '17:30'].map((time) => isOpen(day, at(time))),
    [false, true, true, false],
  );
  assert.deepEqual(
    ['21:59', '22:00', '00:00', '05:00'].map((time) => isOpen(night, at(time))),
    [false, true, true, false],
  );
  for (const text of ['9-17', '24:00-01:00', '10:00-10:00', ''])
    assert.throws(() => parseWindow(text), /--window/);
});

test('prints the configuration of engines', async () => {
  const upstreams = ['--upstream', 'docker.io', '--upstream', 'r.example:5000'];
  const { stdout } = await panamax('mirror', 'config', 'containerd', ...upstreams);
  assert.match(
    stdout,
    /# \/etc\/containerd\/certs\.d\/docker\.io\/hosts\.toml\nserver = "https:\/\/registry-1\.docker\.io"/,
  );
  assert.match(stdout, /certs\.d\/r\.example:5000\/hosts\.toml\nserver = "https:\/\/r\.example:5000"/);
  const options = { mirror: new URL('http://site:5600'), upstreams: [parseUpstream('r.example:5000')] };
  const { files, notes } = engineConfig('docker', { ...options, fallback: true });
  assert.deepEqual(files, []);
  assert.match(notes.join(), /docker pull site:5600\/r\.example_5000\/IMAGE:TAG/);
  assert.throws(() => engineConfig('rkt', { ...options, fallback: true }), /containerd or podman/);

  const strict = (engine: string) =>
    engineConfig(engine, { ...options, fallback: false }).files.map(({ text }) => text);
  assert.deepEqual(strict('podman'), strict('crio'));
  assert.deepEqual(strict('podman'), [
    '[[registry]]\nprefix = "r.example:5000"\nlocation = "site:5600/r.example_5000"\ninsecure = true',
  ]);
  assert.match(
    strict('containerd').join(),
    /^server = "http:\/\/site:5600"\n\n\[host\."http:\/\/site:5600"\]/,
  );
  assert.equal(strict('k3s')[1], 'disable-default-registry-endpoint: true');
});

test('an upstream is a host, or a host with the address to ask', () => {
  assert.deepEqual(parseUpstream('R.example:5000=http://10.0.0.5'), {
    host: 'r.example:5000',
    registry: '10.0.0.5',
    isInsecure: true,
  });
  for (const text of [
    '',
    'https://r.example',
    'r.example/team',
    'r.example=10.0.0.5',
    'r.example=ftp://h',
    'registry',
    'r.example=https://u:p@h',
    'r.example=https://h/v2',
  ]) {
    assert.throws(() => parseUpstream(text), /--upstream/, text);
  }
});
