/** Images that come to a mirror by patches, also when patches, links, the store or the mirror itself fail. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { before, beforeEach, describe, test } from 'node:test';
import { digestOf, writeLayout, type Layout } from '../support/layout.ts';
import {
  makeMirrorSite,
  patchRequests,
  patchTo,
  publicKey,
  upstreamBlobs,
  type MirrorSite,
} from '../support/mirrorsite.ts';
import { DEFAULT_LIMITS } from '../../lib/limits.ts';
import type { MirrorOptions } from '../../lib/mirror/context.ts';
import { createEndpoint } from '../../lib/mirror/endpoint.ts';
import { openMirror } from '../../lib/mirror/mirror.ts';
import { parseUpstream } from '../../lib/mirror/upstream.ts';
import { readSigningKeys } from '../../lib/store/key.ts';
import { nameStatement, parseName } from '../../lib/store/name.ts';
import { openStoreReader } from '../../lib/store/objects/open.ts';
import { serve } from '../../lib/web/server.ts';
import { panamaxFails, panamaxJson } from '../support/commands.ts';
import { missing } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { largeLayers } from '../support/releases.ts';
import { fileScope } from '../support/scope.ts';
import { NAME } from '../support/sitestore.ts';
import { skopeoPush } from '../support/skopeo.ts';
import { writeTar } from '../support/tar.ts';
import { until } from '../support/worker.ts';

const KILLS = 20;

const scope = fileScope();

describe('a mirror with patches', { skip: missing('docker-registry', 'skopeo') }, () => {
  let site: MirrorSite;
  let state: string;
  let second: string;
  /** Number of requests to the upstream before the test. */
  let since: number;
  const path = (name: string) => join(site.directory, name);

  before(async () => {
    site = await makeMirrorSite(scope);
    state = path('mirror');
    second = site.images[1]!.manifestDigest;
    assert.equal(await site.copy(':1'), site.images[0]!.manifestDigest);
    await site.mirror.stop();
    await cp(state, path('with-first'), { recursive: true });
    await cp(site.store, path('sound-store'), { recursive: true });
  });

  /** A state with the first release only, and a sound store. */
  beforeEach(async () => {
    site.link.setFault();
    await site.mirror.stop();
    for (const directory of [state, site.store]) await rm(directory, { recursive: true });
    await cp(path('with-first'), state, { recursive: true });
    await cp(path('sound-store'), site.store, { recursive: true });
    since = site.front.seen.length;
  });

  const loggedSince = (lines: number) => site.mirror.log.slice(lines);
  const patchFile = () => patchTo(site, 2);

  /** Serves the stopped mirror's state in this process, under its address. */
  async function serveInProcess(options: Partial<MirrorOptions>) {
    const warned: { reason?: string; reasons?: readonly string[] }[] = [];
    const [host, port] = site.mirror.host.split(':') as [string, string];
    const upstream = parseUpstream(`${NAME.split('/')[0]}=http://${site.front.host}`);
    const stop = new AbortController();
    const mirror = await openMirror({
      upstreams: [upstream],
      openStore: () => openStoreReader(`http://127.0.0.1:${site.link.port}`, stop.signal),
      state,
      scratch: join(state, 'scratch'),
      trust: {},
      limits: DEFAULT_LIMITS,
      log: { info: () => {}, warn: (fields) => void warned.push(fields) },
      signal: stop.signal,
      ...options,
    });
    const listener = await serve({ host, port: Number(port) }, createEndpoint(mirror, upstream));
    return {
      /** Of the mirror's log. */
      warned,
      async [Symbol.asyncDispose]() {
        stop.abort();
        await listener[Symbol.asyncDispose]();
      },
    };
  }

  describe('that runs', () => {
    beforeEach(() => site.mirror.start());

    test('rebuilds the second release from the first for all clients, once', async () => {
      const lines = site.mirror.log.length;
      const patches = patchRequests(site);
      const { moved } = site;
      const copies = await Promise.all([1, 2, 3].map(() => site.copy(':2')));
      for (const digest of copies) assert.equal(digest, second);
      const { size } = await stat(await patchFile());
      assert.ok(site.moved - moved <= size + 20_000, `${site.moved - moved} bytes for a patch of ${size}`);
      assert.deepEqual(upstreamBlobs(site, since), []);
      assert.equal(patchRequests(site) - patches, 1);
      assert.equal(await site.copy(`@${second}`), second);
      const ways = new Set(loggedSince(lines).flatMap(({ way }) => way ?? []));
      assert.deepEqual([...ways], ['patch', 'held']);
      assert.deepEqual(await readdir(join(state, 'partial')), []);
      assert.deepEqual(await readdir(join(state, 'scratch')), []);
    });

    test('fetches an image whole whose patch is damaged', async () => {
      const file = await patchFile();
      const bytes = await readFile(file);
      bytes[bytes.length >> 1]! ^= 1;
      await writeFile(file, bytes);
      assert.equal(await site.copy(':2'), second);
      assert.ok(upstreamBlobs(site, since).length > 0);
    });

    test('fetches from the upstream what a patch fails to rebuild', async () => {
      // the index names the damaged patch, so that only the decoder finds the damage
      const file = await patchFile();
      const bytes = await readFile(file);
      const sound = digestOf(bytes);
      bytes[bytes.length - 200]! ^= 1;
      await writeFile(file, bytes);
      const index = join(site.store, 'index', `${second.replace(':', '-')}.json`);
      await writeFile(index, (await readFile(index, 'utf8')).replaceAll(sound, digestOf(bytes)));
      const lines = site.mirror.log.length;
      assert.equal(await site.copy(':2'), second);
      const { reasons } = loggedSince(lines).find(({ msg }) => msg.startsWith('no patch works'))!;
      assert.match(reasons!.join(), /patch from/);
      assert.ok(upstreamBlobs(site, since).length > 0);
    });

    test('fetches an image whole while the store is silent, and answers its manifest in time', async () => {
      site.link.setFault({ kind: 'hang' });
      const started = performance.now();
      assert.equal(await site.copy(':2'), second);
      assert.ok(performance.now() - started < 15_000);
      assert.ok(upstreamBlobs(site, since).length > 0);
    });

    test('serves ten clients at once in bounded memory', async () => {
      const copies = await Promise.all(Array.from({ length: 10 }, () => site.copy(':2')));
      assert.deepEqual(new Set(copies), new Set([second]));
      const status = await readFile(`/proc/${site.mirror.pid}/status`, 'utf8');
      assert.ok(Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) < 400 * 1024);
    });

    test('is sound after SIGKILL at random moments', async (t) => {
      const random = createRandom(16);
      let isWhole = false;
      for (let kill = 0; kill < KILLS; kill++) {
        // a kill in the middle leaves its files to the next start
        if (isWhole) {
          await site.mirror.stop();
          await rm(state, { recursive: true });
          await cp(path('with-first'), state, { recursive: true });
          await site.mirror.start();
        }
        const copied = site.copy(':2').catch(() => undefined);
        await delay(random.below(400));
        await site.mirror.stop('SIGKILL');
        isWhole = (await copied) === second;
        if (isWhole) t.diagnostic(`kill ${kill} came after the pull`);
        await site.mirror.stop('SIGKILL');
        await copied;
        const blobs = join(state, 'blobs', 'sha256');
        for (const name of await readdir(blobs)) {
          if (name.startsWith('.')) continue;
          assert.equal(digestOf(await readFile(join(blobs, name))), `sha256:${name}`);
        }
        await site.mirror.start();
      }
      assert.equal(await site.copy(':2'), second);
      const files = await readdir(join(state, 'blobs', 'sha256'));
      assert.deepEqual(
        files.filter((name) => name.startsWith('.')),
        [],
      );
    });

    test('takes a bundle from a stick, without a network and while it does not run', async () => {
      const bundle = path('bundle.tar');
      await panamaxJson('bundle', `${NAME}:2`, '--store', site.store, '-o', bundle);
      const host = NAME.split('/')[0]!;
      const trust = ['--verify-key', publicKey(site), '--upstream', `${host}=http://127.0.0.1:1`];
      const options = ['import', bundle, '--state', state, ...trust];
      await panamaxFails('usage', /another mirror uses this state/, 'mirror', ...options);
      await site.mirror.stop();
      const asked = patchRequests(site);
      const { images } = await panamaxJson<{ images: { name: string; digest: string }[] }>(
        'mirror',
        ...options,
      );
      assert.deepEqual(
        images.map(({ name, digest }) => [name, digest]),
        [[`${NAME}:2`, second]],
      );
      await site.mirror.start();
      assert.equal(await site.copy(':2'), second);
      assert.deepEqual(upstreamBlobs(site, since), []);
      assert.equal(patchRequests(site), asked);
      const store = ['import', site.store, '--state', path('other'), ...trust];
      await panamaxFails('bad-input', /not a bundle/, 'mirror', ...store);
    });

    test('serves from the store while the upstream is away', async () => {
      await site.registry.stop();
      try {
        assert.equal(await site.copy(':2'), second);
        const started = performance.now();
        assert.equal(await site.copy(':2'), second);
        assert.ok(performance.now() - started < 5000);
      } finally {
        await site.registry.start();
      }
    });
  });

  describe('in this process', () => {
    test('fetches an image whole whose patch stops to arrive', async () => {
      await using served = await serveInProcess({ stallTime: 1000 });
      const size = (await readFile(await patchFile())).length;
      site.link.setFault({ kind: 'slow', rate: size });
      const copied = site.copy(':2');
      await until(
        () => readdir(join(state, 'partial')).catch(() => []),
        (names) => names.length > 0,
      );
      site.link.setFault({ kind: 'hang' });
      assert.equal(await copied, second);
      assert.ok(upstreamBlobs(site, since).length > 0);
      assert.deepEqual(
        served.warned.map(({ reason }) => reason),
        ['no byte of the patch in 1 s: in the store'],
      );
    });

    test('restores over a link of long delays, if it may wait for answers', async () => {
      site.link.setFault({ kind: 'slow', rate: 1e9, delay: 150 });
      for (const [answerTime, isWhole] of [
        [200, true],
        [3000, false],
      ] as const) {
        await rm(state, { recursive: true });
        await cp(path('with-first'), state, { recursive: true });
        const before = upstreamBlobs(site, since).length;
        await using _served = await serveInProcess({ answerTime });
        assert.equal(await site.copy(':2'), second);
        assert.equal(upstreamBlobs(site, since).length > before, isWhole, `${answerTime} ms`);
      }
    });

    test('refuses what would come whole and is over --max-pass', async () => {
      const index = join(site.store, 'index', `${second.replace(':', '-')}.json`);
      const file = await patchFile();
      const patch = await readFile(file);
      const damage = async () => {
        const bytes = Buffer.from(patch);
        bytes[bytes.length - 200]! ^= 1;
        await writeFile(file, bytes);
        await writeFile(index, (await readFile(index, 'utf8')).replaceAll(digestOf(patch), digestOf(bytes)));
      };
      const { layerDigests } = site.images[1]!;
      const askedLayers = () => upstreamBlobs(site, since).filter((digest) => layerDigests.includes(digest));
      for (const [harm, failure, logged] of [
        [damage, /EOF|closed|reset/i, /^patch from/],
        [() => rm(index), /denied.*--max-pass/i, undefined],
      ] as const) {
        await harm();
        await using served = await serveInProcess({ maxPass: 1000 });
        await assert.rejects(site.copy(':2'), failure);
        assert.deepEqual(askedLayers(), []);
        const [reason] = served.warned.flatMap(({ reasons }) => reasons ?? []);
        if (logged) assert.match(reason!, logged);
      }
      await cp(path('sound-store'), site.store, { recursive: true });
      await using _served = await serveInProcess({ maxPass: 1000 });
      assert.equal(await site.copy(':2'), second);
      assert.deepEqual(askedLayers(), []);
    });
  });
});

/** A release whose patch takes some seconds at 1 Mbit/s. */
function writeNoisy(layout: string, release: number): Promise<Layout> {
  const own = { path: 'own', content: createRandom(release).bytes(200_000) };
  return writeLayout(layout, [...largeLayers(release), writeTar([own])]);
}

describe('a mirror behind 1 Mbit/s', { skip: missing('docker-registry', 'skopeo') }, () => {
  test('answers the manifest in a second, and streams all layers without a long silence', async (t) => {
    const rate = 1e6 / 8;
    const site = await makeMirrorSite(t, { writeImage: writeNoisy });
    await site.copy(':1');
    const since = site.front.seen.length;
    for (const link of [site.link, site.uplink]) link.setFault({ kind: 'slow', rate });
    const api = `${site.mirror.url}/v2/${site.name.slice(site.name.indexOf('/') + 1)}`;
    const started = performance.now();
    const found = await fetch(`${api}/manifests/2`);
    const { layers } = (await found.json()) as { layers: { digest: string }[] };
    assert.ok(performance.now() - started < 1000);
    assert.equal(found.headers.get('docker-content-digest'), site.images[1]!.manifestDigest);
    let silence = 0;
    let last = performance.now();
    const read = async (digest: string) => {
      const hash = createHash('sha256');
      const response = await fetch(`${api}/blobs/${digest}`);
      for await (const piece of response.body!) {
        hash.update(piece);
        silence = Math.max(silence, performance.now() - last);
        last = performance.now();
      }
      assert.equal(`sha256:${hash.digest('hex')}`, digest);
    };
    await Promise.all(layers.map(({ digest }) => read(digest)));
    const { size } = await stat(await patchTo(site, 2));
    assert.ok(size > rate, `${size} bytes`);
    assert.ok(performance.now() - started < (size / rate) * 1000 + 15_000);
    assert.ok(silence < 20_000);
    assert.deepEqual(upstreamBlobs(site, since), []);
  });
});

describe('a mirror with a key', { skip: missing('docker-registry', 'skopeo') }, () => {
  test('takes tags from signed records, and refuses older ones', async (t) => {
    const site = await makeMirrorSite(t, { options: (made) => ['--verify-key', publicKey(made)] });
    const [first, second] = site.images;
    // the upstream's tag moves; the owner has not signed that
    await skopeoPush(`oci:${join(site.directory, '1')}`, `${site.front.host}/team/app:2`);
    assert.equal(await site.copy(':2'), second!.manifestDigest);
    await assert.rejects(site.copy(':1'), /denied|DENIED|not found|unknown/i);
    assert.equal(await site.copy(`@${first!.manifestDigest}`), first!.manifestDigest);

    const record = join(site.store, 'names', `${NAME.replace(':', '=')}@2`, 'linux-amd64.json');
    const sign = await readSigningKeys([join(site.directory, 'owner.key')]);
    const { signature: _, ...known } = parseName(await readFile(record), record);
    const target = { ...known.target, manifest: first!.manifestDigest, config: first!.configDigest };
    const older = { ...known, target, sequence: known.sequence - 1 } as typeof known;
    const signed = { version: 1, ...older, ...sign(nameStatement(older)) };
    await writeFile(record, JSON.stringify(signed));
    assert.equal(await site.copy(':2'), second!.manifestDigest);
    const warned = site.mirror.log.find(({ msg }) => msg === 'the last accepted image is served');
    assert.match(warned!.reason!, /older image/);
    await rm(record);
    assert.equal(await site.copy(':2'), second!.manifestDigest);
  });
});
