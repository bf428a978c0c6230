/** Layer streams on scratch that jobs share: unpacked once, bounded, kept while they are in use. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { PanamaxError } from '../../../lib/errors.ts';
import type { Digest } from '../../../lib/digest.ts';
import type { LayerStream } from '../../../lib/image/layerstream.ts';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { REGISTRY_VARIABLES } from '../../../lib/image/registry/settings.ts';
import { createForest, createMemoryStorage } from '../../../lib/pairing/forest.ts';
import { createMemory } from '../../../workers/resources/memory.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { signatureStage } from '../../../workers/signature/stage.ts';
import {
  createLayerCache,
  type CachedImage,
  type LeaseRequest,
} from '../../../workers/resources/layercache.ts';
import { makeReleases, objectsOf, runBackfill } from '../../support/backfill.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout } from '../../support/layout.ts';
import { createRandom } from '../../support/random.ts';
import { missing } from '../../support/programs.ts';
import { pushLayout } from '../../support/pushlayout.ts';
import { startRegistry } from '../../support/registry.ts';
import { writeTar } from '../../support/tar.ts';
import { atEnd } from '../../support/scope.ts';

const going = new AbortController().signal;

interface Fixture extends CachedImage {
  /** Number of layers that it unpacked. */
  readonly unpacked: () => number;
}

/** An image with a layer for each letter of its key, each of which is that letter again and again. */
function image(
  key: string,
  size: number | ((letter: string) => number),
  before: (signal: AbortSignal, letter: string) => Promise<void> = () => turn(),
): Fixture {
  let count = 0;
  const sizeOf = (letter: string) => (typeof size === 'number' ? size : size(letter));
  return {
    key,
    layers: Array.from(key, (letter) => ({ diffID: letter as Digest, size: sizeOf(letter) })),
    unpacked: () => count,
    async unpack(layers, onLayer, signal) {
      for (const { diffID, path } of layers) {
        count++;
        await before(signal, diffID);
        signal.throwIfAborted();
        await writeFile(path, diffID.repeat(sizeOf(diffID)), { flag: 'wx' });
        onLayer(diffID);
      }
    },
  };
}

async function readStream({ parts }: LayerStream): Promise<string> {
  return (await Promise.all(parts.map(({ path }) => readFile(path, 'utf8')))).join('');
}

async function newCache(t: TestContext, maxSize: number) {
  const directory = join(await temporaryDirectory(t), 'layers');
  const cache = createLayerCache(directory, maxSize);
  atEnd(t, () => cache[Symbol.asyncDispose]());
  const take = (images: readonly CachedImage[], rest: Partial<LeaseRequest> = {}) =>
    cache.lease({ images, ownSize: 0, signal: going, ...rest });
  return { cache, directory, take };
}

test('concurrent jobs share an unpacked image', async (t) => {
  const { cache, take } = await newCache(t, 100);
  const [a, b, c] = [image('a', 10), image('b', 10), image('c', 10)];
  const leases = await Promise.all([take([a, b]), take([a, c]), take([a, a]), take([b, a])]);
  assert.deepEqual([a.unpacked(), b.unpacked(), c.unpacked()], [1, 1, 1]);
  assert.deepEqual(
    await Promise.all(leases.flatMap(({ streams }) => streams.map(readStream))),
    ['a', 'b', 'a', 'c', 'a', 'a', 'b', 'a'].map((key) => key.repeat(10)),
  );
  for (const lease of leases) lease[Symbol.dispose]();
  (await take([c, b]))[Symbol.dispose]();
  assert.deepEqual(
    { ...cache.stats },
    { hits: 6, misses: 3, evictions: 0, bytesRead: 30, bytes: 30, peakBytes: 30 },
  );
});

test('a layer of several images is unpacked once', async (t) => {
  const { cache, take } = await newCache(t, 100);
  const [one, other] = [image('xya', 10), image('xyb', 10)];
  const [first, second] = await Promise.all([take([one, other]), take([image('bx', 10)])]);
  assert.deepEqual([one.unpacked(), other.unpacked()], [3, 1]);
  assert.equal(await readStream(first.streams[1]!), ['x', 'y', 'b'].map((key) => key.repeat(10)).join(''));
  assert.equal(await readStream(second.streams[0]!), 'b'.repeat(10) + 'x'.repeat(10));
  assert.equal(cache.stats.bytes, 40);
});

test('an image that cannot be unpacked fails no other image with its layers', async (t) => {
  const { cache, take } = await newCache(t, 100);
  const bad = new PanamaxError('bad-input', 'no tar');
  for (const broken of ['a', 'x']) {
    const damaged = image('xa', 10, async (_, letter) => {
      await turn();
      if (letter === broken) throw bad;
    });
    const sound = image('xb', 10);
    const [failed, lease] = await Promise.allSettled([take([damaged]), take([sound])]);
    assert.ok(failed.status === 'rejected' && failed.reason === bad);
    assert.ok(lease.status === 'fulfilled');
    assert.equal(await readStream(lease.value.streams[0]!), 'x'.repeat(10) + 'b'.repeat(10));
    // x stays if it was written before
    assert.equal(sound.unpacked(), broken === 'a' ? 1 : 2);
    lease.value[Symbol.dispose]();
    // evicts all
    (await take([image('c', 100)]))[Symbol.dispose]();
  }
  assert.ok(cache.stats.peakBytes <= 100);
});

test('evicts the least recently used images, keeps those in use', async (t) => {
  const { cache, take, directory } = await newCache(t, 30);
  const [a, b, c, d] = [image('a', 10), image('b', 10), image('c', 10), image('d', 10)];
  for (const one of [a, b, c, a]) (await take([one]))[Symbol.dispose]();
  const kept = await take([c]);
  // b is the oldest; then a
  (await take([d]))[Symbol.dispose]();
  assert.deepEqual([cache.stats.evictions, b.unpacked()], [1, 1]);
  (await take([b]))[Symbol.dispose]();
  assert.deepEqual([cache.stats.evictions, b.unpacked(), a.unpacked()], [2, 2, 1]);
  (await take([a], { ownSize: 10 }))[Symbol.dispose]();
  assert.equal(await readStream(kept.streams[0]!), 'c'.repeat(10));
  assert.equal(c.unpacked(), 1);
  assert.ok((await readdir(directory)).length <= 3);
});

test('a job waits for room in FIFO order', async (t) => {
  const { cache, take } = await newCache(t, 30);
  const first = await take([image('a', 10)], { ownSize: 10 });
  const order: string[] = [];
  const large = take([image('b', 20)]).then((lease) => (order.push('large'), lease));
  const small = take([image('c', 5)]).then((lease) => (order.push('small'), lease));
  await turn();
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await Promise.all([large, small]);
  assert.deepEqual(new Set(order), new Set(['large', 'small']));
  assert.ok(cache.stats.peakBytes <= 30);
});

test('refuses a request that never fits', async (t) => {
  const { take } = await newCache(t, 30);
  const refused = { kind: 'limit', message: /over scratchSize: expected at most 30 bytes, found 31/ };
  await assert.rejects(take([image('a', 31)]), refused);
  await assert.rejects(take([image('a', 10), image('b', 10)], { ownSize: 11 }), refused);
  (await take([image('a', 15), image('a', 15)], { ownSize: 15 }))[Symbol.dispose]();
});

test('an error fails the jobs that wait for it, and the next job tries again', async (t) => {
  const { cache, take } = await newCache(t, 30);
  let isBroken = true;
  const broken = image('a', 10, async () => {
    await turn();
    if (isBroken) throw new PanamaxError('io', 'no network');
  });
  const jobs = await Promise.allSettled([take([broken, image('b', 10)]), take([broken])]);
  assert.deepEqual(
    jobs.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  isBroken = false;
  (await take([broken]))[Symbol.dispose]();
  assert.equal(broken.unpacked(), 2);
  assert.ok(cache.stats.peakBytes <= 30);
  await cache[Symbol.asyncDispose]();
  assert.equal(cache.stats.bytes, 0);
});

test('an abort keeps the image for other jobs, and stops unpacking without any', async (t) => {
  const { cache, take, directory } = await newCache(t, 30);
  const slow = Promise.withResolvers<void>();
  let aborted = 0;
  const a = image('a', 10, async (signal) => {
    signal.addEventListener('abort', () => aborted++);
    await Promise.race([slow.promise, once(signal, 'abort')]);
  });
  const stops = [new AbortController(), new AbortController()];
  const jobs = stops.map(({ signal }) => take([a], { signal }));
  const waiting = new AbortController();
  const waiter = take([image('w', 30)], { signal: waiting.signal });
  waiting.abort();
  await assert.rejects(waiter, { name: 'AbortError' });

  stops[0]!.abort();
  await assert.rejects(jobs[0]!, { name: 'AbortError' });
  assert.equal(aborted, 0);
  slow.resolve();
  (await jobs[1]!)[Symbol.dispose]();

  const stop = new AbortController();
  const b = image('b', 10, async (signal) => void (await once(signal, 'abort')));
  const job = take([b], { signal: stop.signal });
  stop.abort();
  await assert.rejects(job, { name: 'AbortError' });
  await assert.rejects(take([a], { signal: stop.signal }), { name: 'AbortError' });
  // room for all else again
  (await take([image('c', 30)]))[Symbol.dispose]();
  assert.equal((await readdir(directory)).length, 1);
  assert.equal(cache.stats.bytes, 30);
});

test('closing stops unpacking and removes all files', async (t) => {
  const { cache, take, directory } = await newCache(t, 30);
  const kept = await take([image('a', 10)]);
  const never = take([image('b', 20, async (signal) => void (await once(signal, 'abort')))]);
  const waiting = take([image('c', 10)]);
  const ended = Promise.allSettled([never, waiting]);
  await cache[Symbol.asyncDispose]();
  assert.deepEqual(
    (await ended).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  kept[Symbol.dispose]();
  await assert.rejects(stat(directory), { code: 'ENOENT' });
  await assert.rejects(take([image('d', 1)]), { kind: 'interrupted' });
});

test('random jobs stay within the bound and read their own images', async (t) => {
  const maxSize = 60;
  for (let seed = 1; seed <= 20; seed++) {
    const { cache, take, directory } = await newCache(t, maxSize);
    const random = createRandom(seed);
    const sizes = Array.from({ length: 8 }, () => 1 + random.below(8));
    const letters = () => Array.from({ length: 1 + random.below(3) }, () => 'abcdefgh'[random.below(8)]!);
    const sizeOf = (letter: string) => sizes[letter.charCodeAt(0) - 97]!;
    const images = Array.from({ length: 8 }, () =>
      image(letters().join(''), sizeOf, async (signal) => {
        for (let turns = random.below(5); turns > 0; turns--) await turn();
        signal.throwIfAborted();
        if (random.below(8) === 0) throw new PanamaxError('io', 'no luck');
      }),
    );
    const onDisk = async () => {
      const names = await readdir(directory).catch(() => []);
      const sizes = names.map((name) =>
        stat(join(directory, name))
          .then((s) => s.size)
          .catch(() => 0),
      );
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    };
    const job = async () => {
      const stop = new AbortController();
      const chosen = [images[random.below(8)]!, images[random.below(8)]!];
      const lease = take(chosen, { ownSize: random.below(10), signal: stop.signal });
      if (random.below(4) === 0) setImmediate(() => stop.abort());
      using held = await lease.catch(() => undefined);
      if (!held) return;
      for (let turns = random.below(6); turns > 0; turns--) {
        await turn();
        for (const [i, stream] of held.streams.entries()) {
          const expected = chosen[i]!.layers.map(({ diffID, size }) => diffID.repeat(size));
          assert.equal(await readStream(stream), expected.join(''));
        }
        assert.ok((await onDisk()) <= maxSize);
      }
    };
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 6 }, job));
    assert.ok(cache.stats.peakBytes <= maxSize, `${cache.stats.peakBytes}`);
    await cache[Symbol.asyncDispose]();
    assert.equal(cache.stats.bytes, 0);
  }
});

test('makes the same patches with little scratch, and refuses too little', async (t) => {
  const directory = await makeReleases(t, ['a1', 'a2', 'a3']);
  await runBackfill(directory, ['a1', 'a2', 'a3'], { top: 2 });
  const report = await runBackfill(directory, ['a1', 'a2', 'a3'], {
    top: 2,
    store: 'tight',
    scratchSize: 1_100_000,
  });
  assert.deepEqual(
    report.pairs.filter(({ status }) => status === 'failed'),
    [],
  );
  assert.deepEqual(await objectsOf(directory, 'tight'), await objectsOf(directory));
  const refused = await runBackfill(directory, ['a1', 'a2'], { store: 'none', scratchSize: 1000 });
  assert.ok(
    refused.images.every(({ status }) => status === 'done'),
    'signatures take no scratch',
  );
  assert.ok(refused.pairs.length > 0);
  for (const pair of refused.pairs) {
    assert.ok(pair.status === 'failed' && pair.error.kind === 'limit');
    assert.match(pair.error.message, /scratchSize: expected at most 1000 bytes/);
  }
});

describe('scratch space of a signature', () => {
  const skip = missing('docker-registry');
  const tar = writeTar([{ path: 'noise', content: createRandom(1).bytes(100_000) }]);

  /** @param pushed whether the image is in a registry */
  async function sign(t: TestContext, maxSize: number, { isDisk = false, pushed = false } = {}) {
    const directory = await temporaryDirectory(t);
    const layout = join(directory, 'image');
    const image = await writeLayout(layout, [tar], { compression: 'none' });
    let reference = layout;
    if (pushed) {
      const { host } = await startRegistry(t);
      process.env[REGISTRY_VARIABLES.insecure] = host;
      atEnd(t, () => delete process.env[REGISTRY_VARIABLES.insecure]);
      await pushLayout(`http://${host}/v2/app`, '1', layout, image);
      reference = `docker://${host}/app:1`;
    }
    const layers = createLayerCache(join(directory, 'layers'), maxSize, isDisk);
    atEnd(t, () => layers[Symbol.asyncDispose]());
    const scratch = join(directory, 'scratch');
    await mkdir(scratch);
    const context = {
      store: await openDirectoryStore(join(directory, 'store')),
      log: { info() {}, warn() {} },
      signal: going,
      limits: DEFAULT_LIMITS,
      scratch,
      layers,
      memory: createMemory(8 * 1024 ** 3),
      similar: createForest(createMemoryStorage()),
    };
    return { layers, read: () => signatureStage({ reference }, context), scratch };
  }

  test('is none for layers', async (t) => {
    const { layers, read, scratch } = await sign(t, 1000);
    assert.equal((await read()).status, 'done');
    const { peakBytes, bytes, bytesRead } = layers.stats;
    assert.deepEqual([peakBytes, bytes, bytesRead], [0, 0, tar.length]);
    assert.deepEqual(await readdir(scratch), []);
    // an image that has a signature is not read again
    assert.equal((await read()).status, 'skipped');
    assert.equal(layers.stats.bytesRead, tar.length);
  });

  test('is that of the blobs from a registry', { skip }, async (t) => {
    const { layers, read, scratch } = await sign(t, 110_000, { pushed: true });
    assert.equal((await read()).status, 'done');
    const { peakBytes, bytes } = layers.stats;
    assert.ok(peakBytes >= tar.length && peakBytes <= 110_000, String(peakBytes));
    assert.equal(bytes, 0);
    assert.deepEqual(await readdir(scratch), []);
  });

  test('refuses larger blobs, finally only if the size was an option', { skip }, async (t) => {
    const asked = await sign(t, 90_000, { pushed: true });
    await assert.rejects(asked.read(), {
      kind: 'limit',
      message: /scratchSize: expected at most 90000 bytes, found/,
    });
    assert.deepEqual([asked.layers.stats.bytes, await readdir(asked.scratch)], [0, []]);
    const disk = await sign(t, 90_000, { pushed: true, isDisk: true });
    await assert.rejects(disk.read(), { kind: 'io', message: /scratch disk has free/ });
  });
});
