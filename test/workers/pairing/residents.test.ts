/** Profiles stay in memory up to a bound, and as long as the store has them. */
import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Digest } from '../../../lib/digest.ts';
import { openImage } from '../../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { serializeSignature } from '../../../lib/pairing/signature/stored.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import type { Store } from '../../../lib/store/objects/store.ts';
import { residentsOf } from '../../../workers/pairing/residents.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeRelease } from '../../support/releases.ts';

/** A store with the signatures of three images. `reads` has the keys that were read. */
async function openStore(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'store');
  const kept = await openDirectoryStore(path);
  const images: Digest[] = [];
  for (const release of [1, 2, 3]) {
    const layout = join(directory, `${release}`);
    await writeRelease(layout, 1, release);
    const image = await openImage({ transport: 'oci', path: layout }, { limits });
    const signature = await computeSignature(image, limits);
    await kept.put(keys.signature(image.manifestDigest), await serializeSignature(signature));
    images.push(image.manifestDigest);
  }
  const reads: string[] = [];
  const store: Store = {
    ...kept,
    get: (key) => {
      reads.push(key);
      return kept.get(key);
    },
  };
  return { store, path, reads, images: images as [Digest, Digest, Digest] };
}

test('reads an image once, also for calls at the same time', async (t) => {
  const { store, reads, images } = await openStore(t);
  const residents = residentsOf(store);
  const [one, again] = await Promise.all([residents.load(images[0]), residents.load(images[0])]);
  assert.equal(one, again);
  assert.equal(await residents.load(images[0]), one);
  assert.equal(one.head.manifest, images[0]);
  assert.equal(reads.length, 1);
  assert.equal(residentsOf(store), residents);
});

test('keeps the images that were used last up to the bound', async (t) => {
  const { store, reads, images } = await openStore(t);
  const residents = residentsOf(store);
  const [a, b, c] = images;
  const { table } = await residents.load(a);
  // an eighth of the memory
  residentsOf(store, 8 * 2.5 * table.byteLength);
  await residents.load(b);
  await residents.load(a);
  await residents.load(c);
  assert.deepEqual(
    images.map((image) => residents.has(image)),
    [true, false, true],
  );
  await residents.load(b);
  assert.equal(reads.length, 4);
  residentsOf(store, 0);
  assert.ok(!images.some((image) => residents.has(image)));
  await residents.load(b);
  assert.ok(!residents.has(b));
});

test('refuses an image whose signature is gone or damaged since', async (t) => {
  const { store, path, images } = await openStore(t);
  const residents = residentsOf(store);
  for (const image of images) await residents.load(image);
  await store.remove(keys.signature(images[0]));
  await assert.rejects(residents.load(images[0]), { kind: 'not-found', message: /no signature/ });
  await truncate(join(path, keys.signature(images[1])), 100);
  await assert.rejects(residents.load(images[1]), { kind: 'bad-input', message: /damaged signature/ });
  await residents.load(images[2]);
});
