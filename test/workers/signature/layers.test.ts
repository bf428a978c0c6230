/** A layer is read once per store: images that share it are signed from its summary. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Digest } from '../../../lib/digest.ts';
import { openImage } from '../../../lib/image/open.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { createForest, createMemoryStorage } from '../../../lib/pairing/forest.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import { serializeSignature } from '../../../lib/pairing/signature/stored.ts';
import { parseLayerHead } from '../../../lib/pairing/signature/storedlayer.ts';
import { keys } from '../../../lib/store/keys.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { createLayerCache } from '../../../workers/resources/layercache.ts';
import { createMemory } from '../../../workers/resources/memory.ts';
import { signatureStage } from '../../../workers/signature/stage.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { writeLayout, type LayoutOptions } from '../../support/layout.ts';
import { createRandom } from '../../support/random.ts';
import { writeTar } from '../../support/tar.ts';

const layerOf = (seed: number) =>
  writeTar([{ path: `file${seed}`, content: createRandom(seed).text(20_000 + seed) }]);
const [BASE, FIRST, SECOND] = [layerOf(1), layerOf(2), layerOf(3)] as const;

async function makeStage(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const scratch = join(directory, 'scratch');
  await mkdir(scratch);
  const store = await openDirectoryStore(join(directory, 'store'));
  const layers = createLayerCache(join(scratch, 'layers'), 1e9);
  t.after(() => layers[Symbol.asyncDispose]());
  const context = {
    store,
    layers,
    scratch,
    limits,
    similar: createForest(createMemoryStorage()),
    signal: new AbortController().signal,
    memory: createMemory(8 * 1024 ** 3),
    log: { info() {}, warn() {} },
  };
  return {
    store,
    write: (name: string, tars: readonly Uint8Array[], options?: LayoutOptions) =>
      writeLayout(join(directory, name), tars, options),
    /** Signs an image. @returns the bytes of layers that were read */
    sign: async (name: string): Promise<number> => {
      const before = layers.stats.bytesRead;
      const { manifest } = await signatureStage({ reference: `oci:${join(directory, name)}` }, context);
      const image = await openImage({ transport: 'oci', path: join(directory, name) }, { limits });
      const expected = await serializeSignature(await computeSignature(image, limits));
      assert.ok((await store.get(keys.signature(manifest)))!.equals(expected), `the signature of ${name}`);
      return layers.stats.bytesRead - before;
    },
  };
}

test('layers that the store knows are not read again', async (t) => {
  const { store, write, sign } = await makeStage(t);
  const { diffIDs } = await write('one', [BASE, FIRST]);
  assert.equal(await sign('one'), BASE.length + FIRST.length);
  await write('two', [BASE, SECOND]);
  assert.equal(await sign('two'), SECOND.length);
  await write('three', [BASE, FIRST, SECOND]);
  assert.equal(await sign('three'), 0);

  // a damaged summary is made again
  const key = keys.layer(diffIDs[0] as Digest);
  const bytes = (await store.get(key))!;
  const damaged = Buffer.from(bytes);
  damaged[damaged.length >> 1]! ^= 1;
  await store.put(key, damaged);
  await write('four', [BASE, SECOND, FIRST]);
  assert.equal(await sign('four'), BASE.length);
  assert.deepEqual(await store.get(key), bytes);

  // a blob of the same layer is read once, and both blobs stay known
  await write('five', [BASE], { compression: 'none' });
  assert.equal(await sign('five'), BASE.length);
  const head = parseLayerHead((await store.get(key))!, key);
  assert.equal(head.blobs.length, 2);
  await write('six', [BASE, BASE], { compression: ['gzip', 'none'] });
  assert.equal(await sign('six'), 0);
});

test('a config that claims a known layer for another blob is refused', async (t) => {
  const { store, write, sign } = await makeStage(t);
  const { diffIDs } = await write('one', [BASE]);
  await sign('one');
  const { manifestDigest } = await write('two', [FIRST], {
    config: { rootfs: { type: 'layers', diff_ids: diffIDs } },
  });
  await assert.rejects(sign('two'), { kind: 'bad-input', message: /digest mismatch/ });
  assert.equal(await store.get(keys.signature(manifestDigest as Digest)), undefined);
});

test('two jobs that read the same layer at once store one sound summary', async (t) => {
  const { store, write, sign } = await makeStage(t);
  const { diffIDs } = await write('one', [BASE, FIRST]);
  await write('two', [BASE, SECOND]);
  await Promise.all([sign('one'), sign('two')]);
  await write('three', [BASE]);
  assert.equal(await sign('three'), 0);
  const summaries = await Array.fromAsync(store.list(keys.layers));
  assert.equal(summaries.length, 3);
  assert.ok(summaries.includes(keys.layer(diffIDs[0] as Digest)));
});
