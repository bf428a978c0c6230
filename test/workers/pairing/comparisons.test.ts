import type { Digest } from '../../../lib/digest.ts';

/** Rankings of one target within several sets of images share their comparisons. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { createForest, createMemoryStorage } from '../../../lib/pairing/forest.ts';
import { scopeOf } from '../../../lib/pairing/ranking.ts';
import { createLayerCache } from '../../../workers/resources/layercache.ts';
import { createMemory } from '../../../workers/resources/memory.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { serializeSignature } from '../../../lib/pairing/signature/stored.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import type { Store } from '../../../lib/store/objects/store.ts';
import { createComparisons } from '../../../workers/pairing/comparisons.ts';
import { pairingStage } from '../../../workers/pairing/stage.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeRelease } from '../../support/releases.ts';

/** The sets of 2 to 4 of five images. */
function setsOf(images: readonly Digest[]): Digest[][] {
  return Array.from({ length: 2 ** images.length }, (_, choice) =>
    images.filter((__, i) => (choice >> i) & 1),
  ).filter(({ length }) => length >= 2 && length < images.length);
}

test('compares a target with each source once, in any number of sets', async (t) => {
  const directory = await temporaryDirectory(t);
  const kept = await openDirectoryStore(join(directory, 'store'));
  const manifests: Digest[] = [];
  for (let i = 0; i < 6; i++) {
    const path = join(directory, `${i}`);
    await writeRelease(path, i % 3, i);
    const image = await openImage({ transport: 'oci', path }, { limits });
    const signature = await computeSignature(image, limits);
    await kept.put(keys.signature(image.manifestDigest), await serializeSignature(signature));
    manifests.push(image.manifestDigest);
  }
  const [target, ...sources] = manifests as [Digest, ...Digest[]];
  let reads = 0;
  const store: Store = {
    ...kept,
    get: (key, ...more) => {
      if (key.startsWith(keys.signatures)) reads++;
      return kept.get(key, ...more);
    },
  };
  await using layers = createLayerCache(join(directory, 'layers'), 1e9);
  const similar = createForest(createMemoryStorage());
  const shared = { layers, memory: createMemory(8 * 1024 ** 3), similar, log: { info() {}, warn() {} } };
  const signal = new AbortController().signal;
  const context = { store, signal, limits, scratch: directory, ...shared };
  const sets = setsOf(sources);
  assert.equal(sets.length, 25);

  const comparisons = createComparisons(store, target, {});
  const together = [];
  await pairingStage({ target, sources }, context, comparisons);
  assert.equal(reads, 6);
  for (const set of sets) {
    together.push(await pairingStage({ target, sources: set, combineSources: true }, context, comparisons));
  }
  // combinations of two or three images are new, and their signatures are in memory
  assert.equal(reads, 6);

  for (const [i, set] of sets.entries()) {
    await store.remove(keys.pairing(target, scopeOf(set, true)));
    assert.deepEqual(
      await pairingStage({ target, sources: set, combineSources: true }, context),
      together[i],
    );
  }
  assert.equal(reads, 6, 'signatures stay in memory for the next ranking');
});
