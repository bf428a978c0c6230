/** Referrers in registries whose API is missing, answers in odd ways, or breaks its promises. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import { digestOf, type Digest } from '../../../lib/digest.ts';
import type { PanamaxError } from '../../../lib/errors.ts';
import { parseRegistryName } from '../../../lib/image/oci/registryname.ts';
import { MEDIA_TYPES } from '../../../lib/image/oci/manifest.ts';
import { pushManifest } from '../../../lib/image/registry/push.ts';
import { listReferrers } from '../../../lib/image/registry/referrers.ts';
import { openRepository, type Repository } from '../../../lib/image/registry/registry.ts';
import { registrySettings } from '../../../lib/image/registry/settings.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { pushDocument } from '../../../lib/store/beside/publish.ts';
import { startFront, type Answer, type Front, type Rewrite } from '../../support/front.ts';
import { missing } from '../../support/programs.ts';
import { startReferrersRegistry, startRegistry, type Registry } from '../../support/registry.ts';
import { fileScope } from '../../support/scope.ts';

const scope = fileScope();
const ARTIFACT = 'application/vnd.example.note.v1';
const INDEX = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] as unknown[] };

let plain: Promise<Registry> | undefined;
/** Without a referrers API. */
const plainRegistry = () => (plain ??= startRegistry(scope));
let modern: Promise<Registry> | undefined;
/** With a referrers API. */
const modernRegistry = () => (modern ??= startReferrersRegistry(scope));

interface Subject {
  readonly front: Front;
  readonly repository: Repository;
  readonly digest: Digest;
  /** Pushes a referrer that differs from all others. */
  readonly push: () => Promise<Digest>;
  readonly list: () => Promise<string[]>;
}

/** An index in a repository of its own, behind a front. */
async function pushSubject(
  t: TestContext,
  registry: Registry,
  answer: Answer = () => false,
  rewrite?: Rewrite,
): Promise<Subject> {
  const front = await startFront(t, registry, answer, rewrite);
  const path = `r${randomUUID()}/app`;
  const open = (host: string) =>
    openRepository(parseRegistryName(`${host}/${path}`), {
      limits: DEFAULT_LIMITS,
      settings: registrySettings({ REGISTRY_INSECURE: host }),
      push: true,
    });
  // the subject names another manifest, as an image of several platforms does
  const direct = open(registry.host);
  const child = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [], annotations: { path } };
  const pushIndex = async (document: object) => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    await pushManifest(direct, digest, MEDIA_TYPES.ociIndex, bytes);
    return { mediaType: MEDIA_TYPES.ociIndex, digest, size: bytes.length };
  };
  const subject = await pushIndex({ ...INDEX, manifests: [await pushIndex(child)] });
  const repository = open(front.host);
  return {
    front,
    repository,
    digest: subject.digest,
    push: () =>
      pushDocument(repository, subject, {
        artifactType: ARTIFACT,
        configType: `${ARTIFACT}+json`,
        document: Buffer.from(JSON.stringify({ note: randomUUID() })),
        annotations: {},
      }),
    list: async () => (await listReferrers(repository, subject.digest)).map(({ digest }) => digest),
  };
}

interface FakeAnswer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers of the referrers API in place of the registry's, once each; the last one for ever. */
function api(...answers: readonly FakeAnswer[]): Answer {
  let count = 0;
  return ({ url = '' }, response) => {
    if (!url.includes('/referrers/')) return false;
    const { status = 200, body = '', headers = {} } = answers[Math.min(count++, answers.length - 1)]!;
    response.writeHead(status, { 'content-type': MEDIA_TYPES.ociIndex, ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
    return true;
  };
}

/** Promises that the registry lists what is pushed (distribution-spec, "Pushing Manifests with Subject"). */
const promise: Rewrite = ({ method }, headers) =>
  method === 'PUT' ? { ...headers, 'oci-subject': 'sha256:whatever' } : headers;

describe('a registry without a referrers API', { skip: missing('docker-registry') }, () => {
  const html = { body: '<html>sign in</html>', headers: { 'content-type': 'text/html' } };
  const answers: readonly FakeAnswer[] = [
    ...[400, 401, 403, 404, 405, 406, 410, 501].map((status) => ({ status, body: { errors: [] } })),
    html,
    { body: '' },
    { body: '[]' },
    { body: '{"errors":[{"code":"UNSUPPORTED"}]}' },
    { body: '{"schemaVersion":2,"config":{},"layers":[]}' },
    { body: 'x', headers: { 'content-encoding': 'compress' } },
    { status: 302 },
    { status: 302, headers: { location: '/v2/referrers/' } },
    // it has an API, but one that knows nothing
    { body: INDEX },
    { body: { ...INDEX, manifests: null } },
  ];
  for (const answer of answers) {
    const { status = 200, body = '', headers } = answer;
    test(`lists by the tag: ${status} ${JSON.stringify(body)} ${JSON.stringify(headers ?? '')}`, async (t) => {
      const { push, list } = await pushSubject(t, await plainRegistry(), api(answer));
      assert.deepEqual(await list(), []);
      const pushed = [await push(), await push()];
      assert.deepEqual((await list()).toSorted(), pushed.toSorted());
    });
  }

  test('lists by the tag although the answers to pushes promise an API', async (t) => {
    const { push, list } = await pushSubject(t, await plainRegistry(), () => false, promise);
    const pushed = [await push(), await push()];
    assert.deepEqual((await list()).toSorted(), pushed.toSorted());
  });

  test('cannot list if it takes the tag for the digest, and says so', async (t) => {
    let digest = '';
    const { push, list, ...subject } = await pushSubject(t, await plainRegistry(), (request) => {
      request.url = request.url!.replace(`sha256-${digest.slice(7)}`, digest);
      return false;
    });
    ({ digest } = subject);
    // the entries of the image's own index are no referrers
    assert.deepEqual(await list(), []);
    await assert.rejects(push(), ({ kind, message, facts }: PanamaxError) => {
      assert.match(
        message,
        /referrers cannot be published in this registry.*the tag stands for the image itself/,
      );
      return kind === 'io' && facts.isFinal === true;
    });
  });

  test('keeps something else that is under the tag', async (t) => {
    const { push, list, repository, digest } = await pushSubject(t, await plainRegistry());
    const tag = `sha256-${digest.slice(7)}`;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex }));
    // the registry itself takes no index without a list
    const tagged = await startFront(t, await plainRegistry(), ({ url = '', method }, response) => {
      if (method !== 'GET' || !url.endsWith(`/${tag}`)) return false;
      response.end(bytes);
      return true;
    });
    assert.ok(await push());
    const settings = registrySettings({ REGISTRY_INSECURE: tagged.host });
    const path = repository.where.slice(repository.where.indexOf('/'));
    const other = openRepository(parseRegistryName(`${tagged.host}${path}`), {
      limits: DEFAULT_LIMITS,
      settings,
    });
    assert.deepEqual(await listReferrers(other, digest), []);
    const mediaType = MEDIA_TYPES.ociIndex;
    const document = {
      artifactType: ARTIFACT,
      configType: `${ARTIFACT}+json`,
      document: bytes,
      annotations: {},
    };
    await assert.rejects(pushDocument(other, { mediaType, digest, size: 1 }, document), {
      kind: 'io',
      message: /cannot be published under the tag/,
    });
    assert.equal((await list()).length, 1);
  });

  test('skips damaged entries under the tag and keeps them', async (t) => {
    const zeros = `sha256:${'0'.repeat(64)}`;
    const odd = [null, 1, { digest: 'sha256:x' }, { mediaType: 'a', digest: zeros, size: -1 }];
    let written = '';
    const { push, list, front } = await pushSubject(t, await plainRegistry(), (request, response) => {
      const { method, url = '' } = request;
      if (!/\/manifests\/sha256-/.test(url)) return false;
      // a registry that checks no entries
      if (method === 'PUT') {
        request.setEncoding('utf8').on('data', (piece: string) => (written += piece));
        request.on('end', () => response.writeHead(201).end());
      } else response.end(written || JSON.stringify({ ...INDEX, manifests: odd }));
      return true;
    });
    assert.deepEqual(await list(), []);
    const pushed = await push();
    assert.deepEqual(await list(), [pushed]);
    const { manifests } = JSON.parse(written) as { manifests: unknown[] };
    assert.deepEqual(manifests.slice(0, 4), odd);
    assert.equal(
      front.seen.filter(({ method, path }) => method === 'PUT' && path.includes('/sha256-')).length,
      1,
    );
  });

  test('fails if its API fails for the moment and there is no tag; pushing makes the tag', async (t) => {
    const down = api({ status: 503 });
    let isDown = true;
    const [first, second] = [
      await pushSubject(t, await plainRegistry(), down),
      await pushSubject(t, await plainRegistry(), (...call) => isDown && down(...call)),
    ];
    const refused = { kind: 'io', message: /refuses: 503.*referrers of sha256/ };
    const [pushed] = await Promise.all([second.push(), assert.rejects(first.list(), refused)]);
    isDown = false;
    assert.deepEqual(await second.list(), [pushed]);
  });

  for (const [status, code, canPush] of [
    [403, 'MANIFEST_UNKNOWN', true],
    [401, 'MANIFEST_UNKNOWN', true],
    [403, 'DENIED', false],
  ] as const) {
    test(`refuses to tell whether a tag exists: ${status} ${code}`, async (t) => {
      const known = new Set<string>();
      const { push, list } = await pushSubject(t, await plainRegistry(), ({ url = '', method }, response) => {
        if (!/\/manifests\/sha256-/.test(url)) return false;
        if (method === 'PUT') known.add(url);
        if (known.has(url)) return false;
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ errors: [{ code }] }));
        return true;
      });
      assert.deepEqual(await list(), []);
      if (canPush) assert.deepEqual([await push()], await list());
      // the tag may have a list, which would be lost
      else await assert.rejects(push(), { kind: 'io', message: /refuses: 403.*DENIED/ });
    });
  }
});

describe('a registry with a referrers API', { skip: missing('referrers-registry') }, () => {
  test('needs no tag, and may list later than it promises', async (t) => {
    const late = api({ body: INDEX }, { body: INDEX });
    let asked = 0;
    const { push, list, front } = await pushSubject(
      t,
      await modernRegistry(),
      (request, response) => request.url!.includes('/referrers/') && asked++ < 2 && late(request, response),
      promise,
    );
    const pushed = [await push(), await push()];
    assert.deepEqual((await list()).toSorted(), pushed.toSorted());
    assert.ok(asked > 2);
    assert.ok(!front.seen.some(({ method, path }) => method === 'PUT' && path.includes('/sha256-')));
  });

  test('fails if its list breaks off', async (t) => {
    const entry = {
      mediaType: MEDIA_TYPES.ociManifest,
      digest: digestOf(Buffer.from('x')),
      size: 1,
      artifactType: 'a/b',
    };
    const first = { body: { ...INDEX, manifests: [entry] }, headers: { link: '<?page=2>; rel="next"' } };
    for (const second of [{ status: 404 }, { status: 406 }, { body: '<html>' }, { body: {} }]) {
      const { list } = await pushSubject(t, await modernRegistry(), api(first, second));
      await assert.rejects(list(), { message: /referrers of sha256/ });
    }
    const { list } = await pushSubject(
      t,
      await modernRegistry(),
      api(
        first,
        { body: INDEX, headers: { link: '<?page=3>; rel=next' } },
        { body: { ...INDEX, manifests: [{ ...entry, digest: digestOf(Buffer.from('y')) }] } },
      ),
    );
    assert.equal((await list()).length, 2);
  });
});
