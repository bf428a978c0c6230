/** Recipes in patches of the format `panamax`. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { BitEncoder } from '../../../../lib/delta/formats/native/bitcoder.ts';
import {
  BROTLI,
  MODELLED,
  restoreRecipe,
  storeRecipe,
} from '../../../../lib/delta/formats/native/recipecoder.ts';
import { TextCoder } from '../../../../lib/delta/formats/native/textcoder.ts';
import { recipeDocument, sourceRecord } from '../../../../lib/delta/recipe.ts';
import { digestOf } from '../../../../lib/digest.ts';
import { imageRecord, type ImageRecord } from '../../../../lib/image/record.ts';
import { createRandom } from '../../../support/random.ts';

function image(release: number, config: object = {}): ImageRecord {
  const diffIDs = [digestOf('base'), digestOf(`layer ${release}`)];
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: 'arm64',
      variant: 'v8',
      os: 'linux',
      created: `2024-01-0${release}T10:11:12.123456789Z`,
      rootfs: { type: 'layers', diff_ids: diffIDs },
      history: [{ created_by: `FROM ${digestOf('id').slice(7, 19)}` }],
      ...config,
    }),
  );
  const layers = diffIDs.map((diffID, i) => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestOf(`compressed ${diffID}`),
    size: 1000 * (i + 1),
  }));
  const mediaType = 'application/vnd.oci.image.config.v1+json';
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType, digest: digestOf(configBytes), size: configBytes.length },
      layers,
    }),
  );
  const documents = { manifestBytes, configBytes };
  const digests = { manifestDigest: digestOf(manifestBytes), configDigest: digestOf(configBytes) };
  const compression = { encoder: 'gzip', level: 6, header: 'H4sIAAAAAAAA/w==' } as never;
  return imageRecord({ ...documents, ...digests }, [40_960, 10_240 * release], [900, 2000], [compression]);
}

const recipe = (target: ImageRecord) =>
  Buffer.from(recipeDocument({ source: sourceRecord(image(1)), target }));

test('restores a recipe, in little more than its digests', () => {
  const document = recipe(image(2));
  const stored = storeRecipe(document);
  assert.equal(stored.coding, MODELLED);
  assert.ok(restoreRecipe(stored).equals(document));
  // source: manifest, config, two layers; target: one layer anew and two of other digests
  assert.ok(stored.bytes.length < 7 * 32 + 150, `${stored.bytes.length} bytes`);
});

test('restores recipes of other documents: of control characters, of broken text, without an image, large ones', () => {
  const documents = [
    recipe(image(2, { comment: '\u0001 \u0002' })),
    recipe(image(2, { comment: 'ü€😀 \ud800' })),
    recipe(image(2, { comment: createRandom(1).text(200_000) })),
    recipe({ ...image(2), layers: image(2).layers.map((layer) => ({ ...layer, mediaType: 'text/plain' })) }),
    Buffer.from('{}'),
    Buffer.from('no JSON'),
  ];
  for (const [i, document] of documents.entries()) {
    assert.ok(restoreRecipe(storeRecipe(document)).equals(document), `document ${i}`);
  }
  assert.equal(storeRecipe(Buffer.from('{}')).coding, BROTLI);
});

test('refuses recipes of random bytes, and damaged ones that are no longer those of an image', () => {
  const random = createRandom(2);
  for (let i = 0; i < 60; i++) {
    const bytes = random.bytes(random.below(400));
    assert.throws(() => restoreRecipe({ coding: MODELLED, bytes }), { kind: 'bad-patch' }, `bytes ${i}`);
  }
  assert.throws(() => restoreRecipe({ coding: BROTLI, bytes: Buffer.alloc(9, 255) }), { kind: 'bad-patch' });
  const { bytes } = storeRecipe(recipe(image(2)));
  assert.throws(() => restoreRecipe({ coding: MODELLED, bytes: bytes.subarray(0, bytes.length / 2) }), {
    kind: 'bad-patch',
  });
});

test('codes text to the same bytes on every machine', () => {
  const coder = new BitEncoder();
  const text = Buffer.from(createRandom(3).text(5000));
  TextCoder.create(text.length).code(coder, text, text.length);
  const bytes = coder.finish();
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  assert.deepEqual([bytes.length, digest], [3072, 'd831cf5162bea04f']);
});
