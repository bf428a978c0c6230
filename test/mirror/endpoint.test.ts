/** The pull half of the distribution spec over a real registry, without patches. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront, type Front } from '../support/front.ts';
import { blobPath, digestOf, indexEntry, writeIndex, type Layout } from '../support/layout.ts';
import { startMirror, type RunningMirror } from '../support/mirror.ts';
import { missing } from '../support/programs.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startRegistry, type Registry } from '../support/registry.ts';
import { writeRelease } from '../support/releases.ts';
import { fileScope } from '../support/scope.ts';
import { skopeoPush } from '../support/skopeo.ts';

const scope = fileScope();

describe('the mirror as a registry', { skip: missing('docker-registry', 'skopeo', 'prlimit') }, () => {
  let registry: Registry;
  let front: Front;
  /** From the mirror to the registry. */
  let link: Proxy;
  let mirror: RunningMirror;
  let directory: string;
  let image: Layout;
  let index: string;

  before(async () => {
    registry = await startRegistry(scope);
    front = await startFront(scope, registry, () => false);
    directory = await temporaryDirectory(scope);
    const layout = join(directory, 'layout');
    image = await writeRelease(layout, 1, 1);
    const platform = { os: 'linux', architecture: 'amd64' };
    const entry = await indexEntry(layout, image.manifestDigest, { platform });
    index = await writeIndex(layout, [entry], { blob: true });
    const top = await indexEntry(layout, index, { tag: 'multi', kind: 'index' });
    await writeIndex(layout, [await indexEntry(layout, image.manifestDigest, { tag: 'one' }), top]);
    for (const tag of ['one', 'multi'])
      await skopeoPush(`oci:${layout}:${tag}`, `${front.host}/team/app:${tag}`);
    link = await startProxy(scope, { port: Number(front.host.split(':')[1]) });
    const upstream = `registry.example=http://127.0.0.1:${link.port}`;
    mirror = await startMirror(scope, directory, '--upstream', upstream);
  });

  const api = `/v2/registry.example/team/app`;
  const get = (path: string, init?: RequestInit) => fetch(`${mirror.url}${path}`, init);
  const layer = () => image.layerDigests[1]!;
  const layerBytes = () => readFile(blobPath(join(directory, 'layout'), layer()));

  test('answers the base of the API, and refuses to be written', async () => {
    assert.equal((await get('/v2/')).status, 200);
    const writes = [
      ['POST', `${api}/blobs/uploads/`],
      ['PUT', `${api}/manifests/one`],
      ['PATCH', `${api}/blobs/uploads/1`],
      ['DELETE', `${api}/manifests/${image.manifestDigest}`],
    ];
    for (const [method, path] of writes) {
      const response = await get(path!, { method: method! });
      assert.equal(response.status, 405, method);
      const { errors } = (await response.json()) as { errors: { code: string }[] };
      assert.equal(errors[0]?.code, 'UNSUPPORTED');
    }
  });

  test('passes on manifests by tag and digest with their bytes and media types', async () => {
    const cases = [
      ['one', image.manifestDigest, 'application/vnd.oci.image.manifest.v1+json'],
      [image.manifestDigest, image.manifestDigest, 'application/vnd.oci.image.manifest.v1+json'],
      ['multi', index, 'application/vnd.oci.image.index.v1+json'],
    ] as const;
    for (const [reference, digest, mediaType] of cases) {
      for (const method of ['HEAD', 'GET']) {
        const response = await get(`${api}/manifests/${reference}`, { method });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get('content-type'), mediaType);
        assert.equal(response.headers.get('docker-content-digest'), digest);
        assert.equal(response.headers.get('etag'), `"${digest}"`);
        const bytes = Buffer.from(await response.arrayBuffer());
        if (method === 'GET') assert.equal(digestOf(bytes), digest);
        else assert.equal(bytes.length, 0);
        assert.ok(Number(response.headers.get('content-length')) > 0);
      }
    }
  });

  test('chooses the upstream by the parameter ns, by the path, or the default', async () => {
    for (const path of ['/v2/team/app/manifests/one', '/v2/team/app/manifests/one?ns=registry.example']) {
      assert.equal((await get(path)).status, 200, path);
    }
    const before = front.seen.length;
    for (const path of [
      '/v2/team/app/manifests/one?ns=other.example',
      `/v2/team/app/manifests/one?ns=${front.host}`,
    ]) {
      assert.equal((await get(path)).status, 404, path);
    }
    assert.equal(front.seen.length, before);
  });

  test('answers ranges of a blob', async () => {
    const bytes = await layerBytes();
    const { length } = bytes;
    const path = `${api}/blobs/${layer()}`;
    const cases: [string, number, number][] = [
      ['bytes=0-99', 0, 100],
      ['bytes=100-', 100, length],
      ['bytes=-50', length - 50, length],
      [`bytes=10-${length + 1000}`, 10, length],
    ];
    for (const [range, start, end] of cases) {
      const response = await get(path, { headers: { range } });
      assert.equal(response.status, 206, range);
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${length}`);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(start, end));
    }
    const beyond = await get(path, { headers: { range: `bytes=${length}-` } });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers.get('content-range'), `bytes */${length}`);
    for (const headers of [
      { range: 'bytes=5-1' },
      { range: 'lines=1-2' },
      { range: 'bytes=0-1,5-6' },
      { range: 'bytes=0-1', 'if-range': '"other"' },
    ]) {
      const response = await get(path, { headers });
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes);
    }
    const head = await get(path, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(length));
    assert.equal(head.headers.get('docker-content-digest'), layer());
  });

  test('fetches a blob once for several clients', async () => {
    const digest = image.layerDigests[0]!;
    const before = front.seen.length;
    const answers = await Promise.all(
      [1, 2, 3].map(async () => (await get(`${api}/blobs/${digest}`)).arrayBuffer()),
    );
    for (const answer of answers) assert.equal(digestOf(Buffer.from(answer)), digest);
    const fetches = front.seen.slice(before).filter(({ path }) => path.includes(digest));
    assert.equal(fetches.length, 1);
  });

  /** Starts a mirror that holds nothing. */
  const startAnew = async () => {
    await mirror.stop();
    await rm(join(directory, 'mirror'), { recursive: true });
    await mirror.start();
  };

  test('goes on where the link to the upstream breaks in the middle of a blob', async () => {
    await startAnew();
    const before = link.resets;
    link.setFault({ kind: 'cut', direction: 'down', after: 20_000, times: 1 });
    const response = await get(`${api}/blobs/${layer()}`);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), await layerBytes());
    assert.equal(link.resets, before + 1);
    link.setFault();
  });

  test('passes blobs on that its disk does not take', async () => {
    await startAnew();
    // as a full disk, but needs no mount
    await promisify(execFile)('prlimit', ['--pid', String(mirror.pid), '--fsize=10000']);
    const answers = [1, 2].map(async () => (await get(`${api}/blobs/${layer()}`)).arrayBuffer());
    for (const bytes of await Promise.all(answers)) assert.deepEqual(Buffer.from(bytes), await layerBytes());
    assert.deepEqual(await readdir(join(directory, 'mirror', 'blobs', 'sha256')), []);
    await mirror.stop();
    await mirror.start();
  });

  test('replaces a held blob that was damaged on disk', async () => {
    const path = `${api}/blobs/${layer()}`;
    await (await get(path)).arrayBuffer();
    await mirror.stop();
    const file = join(directory, 'mirror', 'blobs', 'sha256', layer().slice(7));
    const bytes = await layerBytes();
    await writeFile(file, Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(1), bytes.subarray(101)]));
    await mirror.start();
    assert.equal(digestOf(Buffer.from(await (await get(path)).arrayBuffer())), layer());
  });

  test('lists tags page by page, and no referrers', async () => {
    const { tags } = (await (await get(`${api}/tags/list`)).json()) as { tags: string[] };
    assert.deepEqual(tags, ['multi', 'one']);
    const page = await get(`${api}/tags/list?n=1`);
    assert.deepEqual(((await page.json()) as { tags: string[] }).tags, ['multi']);
    const [, next] = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '') ?? [];
    assert.ok(next!.startsWith(`${api}/`), next);
    assert.deepEqual(((await (await get(next!)).json()) as { tags: string[] }).tags, ['one']);
    const referrers = await get(`${api}/referrers/${image.manifestDigest}?artifactType=a/b`);
    assert.equal(referrers.headers.get('content-type'), 'application/vnd.oci.image.index.v1+json');
    assert.equal(referrers.headers.get('oci-filters-applied'), 'artifactType');
    assert.deepEqual(((await referrers.json()) as { manifests: unknown[] }).manifests, []);
  });

  test('refuses names, digests and addresses that are malformed or unknown', async () => {
    const zeros = `sha256:${'0'.repeat(64)}`;
    const cases: [string, number, string][] = [
      [`${api}/manifests/none`, 404, 'MANIFEST_UNKNOWN'],
      [`${api}/manifests/.none`, 404, 'MANIFEST_UNKNOWN'],
      [`${api}/manifests/${zeros}`, 404, 'MANIFEST_UNKNOWN'],
      [`${api}/blobs/${zeros}`, 404, 'BLOB_UNKNOWN'],
      [`${api}/blobs/sha256:12`, 400, 'DIGEST_INVALID'],
      [`${api}/blobs/..%2F..%2Fetc%2Fpasswd`, 404, 'UNSUPPORTED'],
      [`/v2/registry.example/Team/manifests/one`, 404, 'NAME_UNKNOWN'],
      [`/v2/registry.example/team:1/manifests/one`, 404, 'NAME_UNKNOWN'],
      [`/v2/registry.example/none/tags/list`, 404, 'NAME_UNKNOWN'],
      [`/v2/_catalog`, 404, 'UNSUPPORTED'],
      [`/v2/%zz`, 404, 'UNSUPPORTED'],
    ];
    for (const [path, status, code] of cases) {
      const response = await get(path);
      const { errors } = (await response.json()) as { errors: { code: string }[] };
      assert.deepEqual([response.status, errors[0]?.code], [status, code], path);
    }
    const sent = request(mirror.url, { path: '/v2/', headers: { host: 'evil.example' } }).end();
    const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    await buffer(response);
    assert.equal(response.statusCode, 421);
  });

  test('serves what it holds while the upstream is away, after SIGKILL', async () => {
    for (const digest of image.layerDigests) await (await get(`${api}/blobs/${digest}`)).arrayBuffer();
    await get(`${api}/manifests/one`);
    await mirror.stop('SIGKILL');
    await registry.stop();
    await mirror.start();
    const started = performance.now();
    const found = await get(`${api}/manifests/one`);
    assert.equal(found.headers.get('docker-content-digest'), image.manifestDigest);
    for (const digest of image.layerDigests) {
      assert.equal(digestOf(Buffer.from(await (await get(`${api}/blobs/${digest}`)).arrayBuffer())), digest);
    }
    assert.ok(performance.now() - started < 5000);
    assert.equal((await get(`${api}/manifests/other`)).status, 503);
    await registry.start();
    const files = await readdir(join(directory, 'mirror', 'blobs', 'sha256'));
    assert.ok(
      files.every((name) => /^[0-9a-f]{64}$/.test(name)),
      files.join(),
    );
  });
});
