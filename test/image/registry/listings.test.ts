/** Lists of tags over several pages, and bodies that a server encodes unasked. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Digest } from '../../../lib/digest.ts';
import { openRepositoryImage } from '../../../lib/image/open.ts';
import { parseRegistryName } from '../../../lib/image/oci/registryname.ts';
import { openRepository, type Repository } from '../../../lib/image/registry/registry.ts';
import { registrySettings } from '../../../lib/image/registry/settings.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startFront } from '../../support/front.ts';
import { missing } from '../../support/programs.ts';
import { startProxy } from '../../support/proxy.ts';
import { startRegistry, type Registry } from '../../support/registry.ts';
import { releaseLayers, writeRelease } from '../../support/releases.ts';
import { fileScope } from '../../support/scope.ts';
import { skopeoPush } from '../../support/skopeo.ts';

const scope = fileScope();
const skip = missing('docker-registry', 'skopeo');
let shared: Promise<Registry> | undefined;
const openRegistry = () => (shared ??= startRegistry(scope));

function repositoryAt(host: string): Repository {
  const settings = registrySettings({ REGISTRY_INSECURE: host });
  return openRepository(parseRegistryName(`${host}/team/app`), { limits: DEFAULT_LIMITS, settings });
}

interface FakePage {
  /** A document, or text that is none. */
  readonly body: unknown;
  readonly link?: string;
  readonly status?: number;
}

/** Tags of a registry whose list consists of these pages; `page=N` in a query selects one. */
async function listTags(t: TestContext, pages: readonly FakePage[]): Promise<string[]> {
  const front = await startFront(t, await openRegistry(), ({ url = '' }, response) => {
    if (!url.includes('/tags/list')) return false;
    const index = Number(new URL(url, 'http://x').searchParams.get('page') ?? 0);
    const { body, link, status = 200 } = pages[index] ?? { body: { errors: [] }, status: 404 };
    response.writeHead(status, { 'content-type': 'application/json', ...(link && { link }) });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
    return true;
  });
  return Array.fromAsync(repositoryAt(front.host).listTags());
}

describe('lists of tags', { skip }, () => {
  test('go on over empty pages and links of all forms', async (t) => {
    const name = 'team/app';
    const found = await listTags(t, [
      {
        body: { name, tags: ['a'] },
        link: '<http://registry.internal:5000/v2/team/app/tags/list?page=1>; rel=next',
      },
      { body: { name, tags: [] }, link: '</v2/team/app/tags/list?page=2>; title="a, b"; rel="next"' },
      { body: { name, tags: null }, link: '<?page=0>; rel="first", <?page=3>; rel="next last"' },
      { body: { name, tags: ['b', 'c'] }, link: '<?page=0>; rel=first' },
    ]);
    assert.deepEqual(found, ['a', 'b', 'c']);
  });

  test('fail if they break off', async (t) => {
    const tags = ['a'];
    const link = '<?page=1>; rel=next';
    const first = { body: { tags }, link };
    for (const [pages, kind, message] of [
      [[first], 'not-found', /404/],
      [[first, { body: '<html>sign in</html>' }], 'bad-input', /not a JSON document/],
      [[first, { body: { errors: [{ code: 'DENIED' }] } }], 'io', /error document.*DENIED/],
      [[first, { body: { tags }, link: '<?page=0>; rel=next' }, first], 'bad-input', /circle/],
      [[{ body: { tags }, link: '?page=1; rel=next' }], 'bad-input', /unreadable link/],
      [[first, { body: { tags: {} } }], 'bad-input', /expected an array/],
    ] as const) {
      await assert.rejects(listTags(t, pages), { kind, message });
    }
  });

  test('end with an error if their pages stay empty', async (t) => {
    const pages = Array.from({ length: 200 }, (_, i) => ({
      body: { tags: [] },
      link: `<?page=${i + 1}>; rel=next`,
    }));
    await assert.rejects(listTags(t, pages), { kind: 'limit', message: /too many empty pages/ });
  });
});

const open = (host: string) =>
  openRepositoryImage(
    repositoryAt(host),
    '1',
    { transport: 'docker', path: `${host}/team/app:1` },
    { limits: DEFAULT_LIMITS },
  );

describe('bodies that are encoded unasked', { skip }, () => {
  const encoders = { gzip: gzipSync, zstd: zstdCompressSync, compress: (bytes: Buffer) => bytes };

  /** A front that encodes the documents of a registry. */
  async function start(t: TestContext, encoding: keyof typeof encoders) {
    const registry = await openRegistry();
    const directory = await temporaryDirectory(t);
    const layout = await writeRelease(join(directory, 'image'), 1, 1);
    await skopeoPush(`oci:${directory}/image`, `${registry.host}/team/app:1`);
    const front = await startFront(t, registry, ({ url = '', method, headers }, response) => {
      if (method !== 'GET' || !/\/(manifests|blobs)\//.test(url)) return false;
      void encode(`http://${registry.host}${url}`, headers, response);
      return true;
    });
    async function encode(
      url: string,
      { accept = '*/*', range }: IncomingMessage['headers'],
      response: ServerResponse,
    ) {
      const found = await fetch(url, { headers: { accept } });
      const bytes = encoders[encoding](Buffer.from(await found.arrayBuffer()));
      const start = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
      response.writeHead(range ? 206 : found.status, {
        'content-type': found.headers.get('content-type') ?? '',
        'content-encoding': encoding,
        'content-length': bytes.length - start,
        ...(range && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
      });
      response.end(bytes.subarray(start));
    }
    return { front, layout };
  }

  for (const encoding of ['gzip', 'zstd'] as const) {
    test(`are decoded from ${encoding}`, async (t) => {
      const { front, layout } = await start(t, encoding);
      const image = await open(front.host);
      assert.equal(image.manifestDigest, layout.manifestDigest);
      assert.ok((await buffer(image.layers[0]!.tar())).equals(releaseLayers(1, 1)[0]!));
    });
  }

  test('are resumed after a cut', async (t) => {
    const { front, layout } = await start(t, 'gzip');
    const digest = layout.layerDigests[0]!;
    const whole = await buffer(repositoryAt(front.host).openBlob(digest as Digest));
    const proxy = await startProxy(t, { port: Number(front.host.split(':')[1]) });
    proxy.setFault({ kind: 'cut', direction: 'down', after: Math.floor(whole.length / 2), times: 1 });
    const found = await buffer(repositoryAt(`127.0.0.1:${proxy.port}`).openBlob(digest as Digest));
    assert.ok(found.equals(whole));
    assert.equal(proxy.resets, 1);
    assert.ok(gunzipSync(whole).equals(releaseLayers(1, 1)[0]!));
  });

  test('are refused by name in an unknown encoding', async (t) => {
    const { front } = await start(t, 'compress');
    await assert.rejects(open(front.host), { kind: 'io', message: /body in the encoding compress/ });
  });

  test('are refused if they are not what the header says', async (t) => {
    const front = await startFront(t, await openRegistry(), (_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('{}');
      return true;
    });
    await assert.rejects(open(front.host), { kind: 'io', message: /cannot be decoded.*encoding gzip/ });
  });
});
