/** Indexes of targets, as sites read them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '../../../lib/digest.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import { parseIndex, writeIndex } from '../../../lib/store/targetindex.ts';
import { serializePatchDescriptor } from '../../../lib/store/descriptor.ts';
import { blobPath } from '../../support/layout.ts';
import type { Scope } from '../../support/scope.ts';
import { SAMPLE_SOURCE, smallImages } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { directory, target: path, images } = await smallImages(scope);
  const manifestDocument = await readFile(blobPath(path, images[1].manifestDigest), 'utf8');
  const manifest = digestOf(manifestDocument);
  const config = digestOf(await readFile(blobPath(path, images[1].configDigest)));
  const target = {
    manifest,
    config,
    layers: config,
    size: 5,
    platform: 'linux/amd64',
    isExact: true,
    manifestDocument,
  };
  const store = await openDirectoryStore(join(directory, 'store'));
  const { platform: _, isExact: __, manifestDocument: ___, ...identity } = target;
  for (const format of ['xdelta', 'oci-delta', 'panamax']) {
    const patch = { size: 5, digest: config };
    const sizes = { predicted: 1, actual: 5, pull: 9 };
    const pair = { format, effort: 'fast' as const, source: SAMPLE_SOURCE, target: identity, patch, sizes };
    await store.put(
      keys.descriptor(manifest, SAMPLE_SOURCE.manifest, format),
      serializePatchDescriptor(pair),
    );
  }
  await writeIndex(store, { target, pullSize: 9 });
  return {
    seeds: [(await store.get(keys.index(manifest)))!],
    kinds: ['bad-input', 'limit'],
    run: (input) => parseIndex(input, manifest, 'index'),
  };
}
