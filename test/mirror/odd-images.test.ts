/** An index of several platforms whose image has layers by zstd, and one whose bytes no recipe makes again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { temporaryDirectory } from '../support/directory.ts';
import { startFront } from '../support/front.ts';
import { compress, digestOf, indexEntry, writeIndex, writeLayout, type Layout } from '../support/layout.ts';
import { startMirror } from '../support/mirror.ts';
import { panamaxJson } from '../support/panamax.ts';
import { missing } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { startRegistry } from '../support/registry.ts';
import { releaseLayers } from '../support/releases.ts';
import { skopeoCopy, skopeoPush } from '../support/skopeo.ts';
import { writeTar } from '../support/tar.ts';

/** Two frames, which no known encoder makes. */
function twoFrames(bytes: Buffer): Buffer {
  const half = bytes.length >> 1;
  return Buffer.concat([bytes.subarray(0, half), bytes.subarray(half)].map((part) => zstdCompressSync(part)));
}

describe('a mirror of an index', { skip: missing('docker-registry', 'skopeo') }, () => {
  test('takes from the upstream only the layer that a patch cannot make', async (t) => {
    const registry = await startRegistry(t);
    const front = await startFront(t, registry, () => false);
    const directory = await temporaryDirectory(t);
    const images: Layout[] = [];
    const indexes: string[] = [];
    for (const release of [1, 2]) {
      const layout = join(directory, String(release));
      const noise = writeTar([{ path: 'noise', content: createRandom(7).bytes(300_000), mtime: release }]);
      const layers = [noise, ...releaseLayers(1, release)];
      const blobs = [compress(noise, 'gzip'), zstdCompressSync(layers[1]!), twoFrames(layers[2]!)];
      const compression = ['gzip', 'zstd', 'zstd'] as const;
      const image = await writeLayout(layout, layers, { compression, blobs });
      const other = await writeLayout(layout, [layers[2]!], { architecture: 'arm64' });
      const entry = (digest: string, architecture: string) =>
        indexEntry(layout, digest, { platform: { os: 'linux', architecture } });
      const entries = [
        await entry(image.manifestDigest, 'amd64'),
        await entry(other.manifestDigest, 'arm64'),
      ];
      const index = await writeIndex(layout, entries, { blob: true });
      await writeIndex(layout, [await indexEntry(layout, index, { tag: 'multi', kind: 'index' })]);
      await skopeoPush(`oci:${layout}:multi`, `${front.host}/team/app:${release}`);
      images.push(image);
      indexes.push(index);
    }
    const store = ['--store', join(directory, 'store'), '--scratch', join(directory, 'scratch')];
    const platform = ['--platform', 'linux/amd64'];
    const releases = [join(directory, '2'), '--sources', join(directory, '1')];
    await panamaxJson('backfill', ...releases, ...platform, '--effort', 'fast', '--force', ...store);

    const upstream = ['--upstream', `registry.example=http://${front.host}`];
    const mirror = await startMirror(t, directory, ...upstream, ...store.slice(0, 2));
    const name = (tag: number) => `docker://${mirror.host}/registry.example/team/app:${tag}`;
    const options = ['--tls-verify=false', '--override-arch', 'amd64'];
    const pull = (tag: number) => skopeoCopy(name(tag), `dir:${join(directory, `copy-${tag}`)}`, ...options);
    await pull(1);
    const since = front.seen.length;
    await pull(2);
    const blobs = front.seen.slice(since).flatMap(({ path }) => /\/blobs\/(.+)$/.exec(path)?.[1] ?? []);
    assert.deepEqual(blobs, [images[1]!.layerDigests[2]]);
    assert.deepEqual(
      mirror.log.flatMap(({ way }) => way ?? []),
      ['pass', 'patch'],
    );

    const api = `${mirror.url}/v2/registry.example/team/app/manifests`;
    const found = await fetch(`${api}/2`);
    assert.equal(digestOf(Buffer.from(await found.arrayBuffer())), indexes[1]);
    assert.equal(found.headers.get('content-type'), 'application/vnd.oci.image.index.v1+json');
  });
});
