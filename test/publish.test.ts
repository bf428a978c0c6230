/** Patches beside their targets in a registry: found, fetched and applied; other tools see them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeChunks } from '../lib/file.ts';
import { DEFAULT_LIMITS } from '../lib/limits.ts';
import type { Digest } from '../lib/oci/descriptor.ts';
import { openImage } from '../lib/oci/image.ts';
import { parseReference } from '../lib/oci/reference.ts';
import { parseRegistryName } from '../lib/registry/name.ts';
import { readPatches, writeDeltaArchive } from '../lib/registry/patches.ts';
import { listReferrers } from '../lib/registry/referrers.ts';
import { openRepository } from '../lib/registry/registry.ts';
import { registrySettings } from '../lib/registry/settings.ts';
import type { Published } from '../producers/publish.ts';
import { temporaryDirectory } from './support/directory.ts';
import { startFront } from './support/front.ts';
import { panamax, panamaxFails, panamaxJson } from './support/panamax.ts';
import { missing } from './support/programs.ts';
import { startRegistry } from './support/registry.ts';
import { releaseLayers, writeRelease } from './support/releases.ts';

const run = promisify(execFile);

test('patches beside their target', { skip: missing('docker-registry', 'skopeo') }, async (t) => {
  const registry = await startRegistry(t);
  const front = await startFront(t, registry, () => false);
  const directory = await temporaryDirectory(t);
  const file = (name: string) => join(directory, name);
  const policy = ['--insecure-policy', 'copy', '-q', '--preserve-digests', '--dest-tls-verify=false'];
  const layouts = [];
  for (const release of [1, 2]) {
    layouts.push(await writeRelease(file(String(release)), 1, release));
    await run('skopeo', [
      ...policy,
      `oci:${file(String(release))}`,
      `docker://${registry.host}/team/app:${release}`,
    ]);
  }
  const [, target] = layouts.map(({ manifestDigest }) => manifestDigest as Digest);
  const name = `docker://${front.host}/team/app`;
  const options = ['--store', file('store'), '--insecure-registry', front.host, '--scratch', file('scratch')];
  const formats = ['--sources', `${name}:1`, '--format', 'both', '--effort', 'fast'];
  const backfill = await panamax('backfill', `${name}:2`, ...formats, ...options);
  assert.equal(backfill.code, 0, backfill.stderr);

  const [published] = await panamaxJson<Published[]>('publish', `${name}:2`, ...options);
  assert.equal(published!.target, target);
  assert.deepEqual(published!.patches.map(({ format }) => format).toSorted(), ['oci-delta', 'xdelta']);
  const writes = () => front.seen.filter(({ method }) => method === 'PUT' || method === 'POST').length;
  const before = writes();
  assert.deepEqual(await panamaxJson<Published[]>('publish', `${name}:2`, ...options), [published]);
  // manifests again (of two patches, what is said of the second one, and a name), blobs not
  assert.ok(writes() - before <= 4, String(writes() - before));

  const settings = registrySettings({ REGISTRY_INSECURE: front.host });
  const repository = openRepository(parseRegistryName(`${front.host}/team/app`), {
    limits: DEFAULT_LIMITS,
    settings,
  });
  const find = async (image: Digest) =>
    readPatches(repository, image, await listReferrers(repository, image));
  const found = await find(target!);
  assert.deepEqual(found.map(({ format }) => format).toSorted(), ['oci-delta', 'xdelta']);
  for (const patch of found) {
    assert.equal(patch.source.config, layouts[0]!.configDigest);
    assert.equal(patch.source.manifest, layouts[0]!.manifestDigest);
    const path = file(`fetched.${patch.format}`);
    if (patch.format === 'xdelta') await writeChunks(path, repository.openBlob(patch.layers[0]!.digest));
    else await writeDeltaArchive(repository, patch, path, ({ digest }) => repository.openBlob(digest));
    const suffix = patch.format === 'xdelta' ? 'xdelta' : 'oci-delta.tar';
    const key = `patches/${target!.replace(':', '-')}/${layouts[0]!.manifestDigest.replace(':', '-')}.${suffix}`;
    assert.ok((await readFile(path)).equals(await readFile(join(file('store'), key))), patch.format);
    const applied = await panamax(
      'apply',
      path,
      '-s',
      `${name}:1`,
      '-o',
      `oci:${file(patch.format)}`,
      ...options.slice(2),
    );
    assert.equal(applied.code, 0, applied.stderr);
    const image = await openImage(await parseReference(file(patch.format)), { limits: DEFAULT_LIMITS });
    assert.equal(image.configDigest, layouts[1]!.configDigest);
    for (const [i, layer] of image.layers.entries()) {
      assert.ok((await buffer(layer.tar())).equals(releaseLayers(1, 2)[i]!));
    }
  }
  // another tool copies an artifact by its digest, with all that belongs to it
  for (const { artifact } of published!.patches) {
    const { stdout } = await run('skopeo', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${registry.host}/team/app@${artifact}`,
    ]);
    assert.equal((JSON.parse(stdout) as { subject: { digest: string } }).subject.digest, target);
  }
  assert.deepEqual(await find(layouts[0]!.manifestDigest as Digest), []);
  await panamaxFails('usage', /no image of a registry/, 'publish', file('2'), ...options);
});
