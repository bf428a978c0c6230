/** Blobs of registries on scratch: fetched once, bounded, kept while they are in use. */
import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { DEFAULT_LIMITS } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { parseReference } from '../../../lib/image/oci/reference.ts';
import { REGISTRY_VARIABLES } from '../../../lib/image/registry/settings.ts';
import { createBlobCache } from '../../../workers/resources/blobcache.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startFront } from '../../support/front.ts';
import { missing } from '../../support/programs.ts';
import { skopeoPush } from '../../support/skopeo.ts';
import { startRegistry } from '../../support/registry.ts';
import { writeRelease } from '../../support/releases.ts';

const limits = DEFAULT_LIMITS;
const skip = missing('docker-registry', 'skopeo');
const registry = skip ? undefined : await startRegistry({ after });

async function releases(t: TestContext, count: number) {
  const directory = await temporaryDirectory(t);
  let hang: (() => void) | undefined;
  const front = await startFront(t, registry!, (incoming, response) => {
    if (!hang || !incoming.url!.includes('/blobs/')) return false;
    response.writeHead(200).flushHeaders();
    hang();
    hang = undefined;
    return true;
  });
  process.env[REGISTRY_VARIABLES.insecure] = front.host;
  const images: { reference: string; manifest: `sha256:${string}` }[] = [];
  const layers = new Set<string>();
  for (let release = 1; release <= count; release++) {
    await writeRelease(join(directory, String(release)), 2, release);
    await skopeoPush(`oci:${directory}/${release}`, `${registry!.host}/kept/app:${release}`);
    const reference = `docker://${front.host}/kept/app:${release}`;
    const image = await openImage(await parseReference(reference), { limits });
    images.push({ reference, manifest: image.manifestDigest });
    for (const { descriptor } of image.layers) layers.add(descriptor.digest);
  }
  return {
    images,
    cached: join(directory, 'cache'),
    /** How often layers were asked for. */
    blobs: () => front.seen.filter(({ path }) => layers.has(path.split('/blobs/')[1] ?? '')).length,
    /** One blob, of which nothing comes. */
    hangOnce: () => new Promise<void>((resolve) => (hang = resolve)),
  };
}

async function sizeOf(directory: string): Promise<number> {
  const sizes = (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

describe('blobs of registries', { skip }, () => {
  const { signal } = new AbortController();

  test('concurrent jobs share blobs, and read them without the registry', async (t) => {
    const { images, cached, blobs } = await releases(t, 1);
    const cache = createBlobCache(cached, 1e9);
    const before = blobs();
    const leases = await Promise.all([1, 2, 3].map(() => cache.lease(images[0]!, { limits, signal })));
    const fetched = blobs() - before;
    assert.equal(fetched, 2);
    const image = await openImage(await parseReference(leases[0]!.reference), { limits, blobs: cached });
    for (const layer of image.layers) for await (const _ of layer.tar());
    assert.equal(image.manifestDigest, images[0]!.manifest);
    assert.equal(blobs() - before, fetched);
    for (const lease of leases) await lease[Symbol.asyncDispose]();
    assert.ok((await sizeOf(cached)) > 0);
  });

  test('blobs in use are kept above the bound, and evicted after use', async (t) => {
    const { images, cached, blobs } = await releases(t, 2);
    const cache = createBlobCache(cached, 1);
    const first = await cache.lease(images[0]!, { limits, signal });
    const second = await cache.lease(images[1]!, { limits, signal });
    await second[Symbol.asyncDispose]();
    const before = blobs();
    const again = await cache.lease(images[0]!, { limits, signal });
    assert.equal(blobs(), before);
    await again[Symbol.asyncDispose]();
    assert.ok((await sizeOf(cached)) > 1);
    await first[Symbol.asyncDispose]();
    assert.equal(await sizeOf(cached), 0);
  });

  test('an aborted job stops no other, and leaves no partial blob', async (t) => {
    const { images, cached, hangOnce } = await releases(t, 1);
    const cache = createBlobCache(cached, 1e9);
    const stopped = new AbortController();
    // the config is there
    const { reference } = images[0]!;
    await openImage(await parseReference(reference), { limits, blobs: cached });
    const hung = hangOnce();
    const one = cache.lease(images[0]!, { limits, signal: stopped.signal });
    const other = cache.lease(images[0]!, { limits, signal });
    await hung;
    stopped.abort(new Error('stopped'));
    await assert.rejects(one);
    const lease = await other;
    const image = await openImage(await parseReference(lease.reference), { limits, blobs: cached });
    for (const layer of image.layers) for await (const _ of layer.tar());
    await lease[Symbol.asyncDispose]();
    assert.ok((await readdir(cached)).every((name) => !name.endsWith('.part')));
  });

  test('a name that has moved to another image still gives the image of the digest', async (t) => {
    const { images, cached } = await releases(t, 2);
    const cache = createBlobCache(cached, 1e9);
    const moved = { reference: images[1]!.reference, manifest: images[0]!.manifest };
    const lease = await cache.lease(moved, { limits, signal });
    const image = await openImage(await parseReference(lease.reference), { limits, blobs: cached });
    assert.equal(image.manifestDigest, images[0]!.manifest);
    await lease[Symbol.asyncDispose]();
  });

  test('does not cache images outside registries', async (t) => {
    const cached = join(await temporaryDirectory(t), 'cache');
    const reference = 'oci:/nowhere:tag';
    const cache = createBlobCache(cached, 1e9);
    const lease = await cache.lease({ reference, manifest: `sha256:${'0'.repeat(64)}` }, { limits, signal });
    assert.equal(lease.reference, reference);
    await lease[Symbol.asyncDispose]();
  });
});
