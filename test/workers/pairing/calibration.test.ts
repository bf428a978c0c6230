/** Predictions calibrated by encoded patches. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Effort } from '../../../lib/delta/align/alignment.ts';
import { imageIdentity, serializePatchDescriptor, sourceIdentity } from '../../../lib/store/descriptor.ts';
import { DEFAULT_LIMITS as limits } from '../../../lib/limits.ts';
import { openImage } from '../../../lib/image/open.ts';
import { calibrationOf, parseCalibrations, serializeCalibrations } from '../../../lib/pairing/calibration.ts';
import type { Prediction } from '../../../lib/pairing/prediction.ts';
import { compareSignatures } from '../../../lib/pairing/ranking.ts';
import { computeSignature } from '../../../lib/pairing/signature/compute.ts';
import type { Signature } from '../../../lib/pairing/signature/signature.ts';
import { serializeSignature } from '../../../lib/pairing/signature/stored.ts';
import { openDirectoryStore } from '../../../lib/store/objects/directory.ts';
import { keys } from '../../../lib/store/keys.ts';
import type { Store } from '../../../lib/store/objects/store.ts';
import { calibrate, loadCalibrations } from '../../../workers/pairing/calibration.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { createRandom } from '../../support/random.ts';
import { writeRelease } from '../../support/releases.ts';

test('finds the factors of many patches, and keeps the costs for few patches', () => {
  const random = createRandom(1);
  const encoded = Array.from({ length: 100 }, () => {
    const reasons = { fixed: 3000, changed: random.below(1_000_000), new: random.below(1_000_000) };
    return { reasons, actual: reasons.fixed + reasons.changed * 0.5 + reasons.new * 2 };
  });
  const many = calibrationOf(encoded);
  assert.ok(Math.abs(many.changed / 0.5 - 1) < 0.2 && Math.abs(many.new / 2 - 1) < 0.2, JSON.stringify(many));
  const one = calibrationOf(encoded.slice(0, 1));
  assert.ok(Math.abs(Math.log(one.changed)) < 0.5 && Math.abs(Math.log(one.new)) < 0.5);
  assert.deepEqual(calibrationOf([]), { changed: 1, new: 1 });
  const bytes = serializeCalibrations({ xdelta: many });
  assert.deepEqual(parseCalibrations(bytes, 'here'), { xdelta: many });
  const bad = Buffer.from(JSON.stringify({ version: 1, formats: { xdelta: { changed: 99, new: 1 } } }));
  assert.throws(() => parseCalibrations(bad, 'here'), { kind: 'bad-input' });
});

test('ignores patches with absurd sizes and uses the others', () => {
  const random = createRandom(2);
  const encoded = Array.from({ length: 100 }, () => {
    const reasons = { fixed: 3000, changed: random.below(1_000_000), new: random.below(1_000_000) };
    return { reasons, actual: reasons.fixed + reasons.changed * 0.5 + reasons.new * 2 };
  });
  for (const actual of [0, Number.MAX_SAFE_INTEGER]) {
    const { changed, new: fresh } = calibrationOf([...encoded, { ...encoded[0]!, actual }]);
    assert.ok(Math.abs(changed / 0.5 - 1) < 0.2 && Math.abs(fresh / 2 - 1) < 0.2, `${changed} ${fresh}`);
  }
});

/** Two releases and descriptors of patches between them; `factor` is the size over its prediction. */
async function openStore(
  t: TestContext,
  patches: readonly { readonly factor: number; readonly effort: Effort }[],
): Promise<{ readonly store: Store; readonly predicted: Prediction }> {
  const directory = await temporaryDirectory(t);
  const store = await openDirectoryStore(join(directory, 'store'));
  const signatures: Signature[] = [];
  for (const release of [1, 2]) {
    const path = join(directory, `${release}`);
    await writeRelease(path, 1, release);
    const image = await openImage({ transport: 'oci', path }, { limits });
    const signature = await computeSignature(image, limits);
    await store.put(keys.signature(image.manifestDigest), await serializeSignature(signature));
    signatures.push(signature);
  }
  const [source, target] = signatures as [Signature, Signature];
  const predicted = compareSignatures(target, source).predictions.xdelta!;
  for (const [i, { factor, effort }] of patches.entries()) {
    const descriptor = {
      format: 'xdelta' as const,
      effort,
      source: sourceIdentity(source.image),
      target: imageIdentity(target.image),
      sizes: { predicted: predicted.size, actual: Math.round(predicted.size * factor), pull: 1e6 },
    };
    const name = `sha256:${String(i).padStart(64, '0')}` as const;
    await store.put(
      keys.descriptor(target.image.manifest, name, 'xdelta'),
      serializePatchDescriptor(descriptor),
    );
  }
  return { store, predicted };
}

describe('calibration of a store', () => {
  const signal = new AbortController().signal;

  test('converts patches of other efforts to the size of the default effort', async (t) => {
    for (const [effort, factor] of [
      ['fast', 1.03],
      ['best', 0.95],
    ] as const) {
      const patches = Array.from({ length: 20 }, () => ({ factor, effort }));
      const formats = await calibrate((await openStore(t, patches)).store, signal);
      const xdelta = formats.find(({ format }) => format === 'xdelta');
      assert.deepEqual(xdelta!.calibration, { changed: 1, new: 1 }, effort);
    }
  });

  test('samples many patches evenly and reports their number', async (t) => {
    const patches = Array.from({ length: 600 }, (_, i) => ({
      factor: i < 400 ? 0.7 : 1.4,
      effort: 'default' as const,
    }));
    const { store, predicted } = await openStore(t, patches);
    const formats = await calibrate(store, signal);
    const [xdelta, ociDelta] = ['xdelta', 'oci-delta'].map((name) =>
      formats.find(({ format }) => format === name),
    );
    assert.deepEqual([xdelta!.pairs, xdelta!.known], [300, 600]);
    assert.deepEqual([ociDelta!.pairs, ociDelta!.known], [0, 0]);
    // 200 of the first 400, 100 of the others
    const encoded = patches
      .filter((_, i) => i % 2 === 0)
      .map(({ factor }) => ({
        reasons: predicted.reasons,
        actual: Math.round(predicted.size * factor),
      }));
    assert.deepEqual(xdelta!.calibration, calibrationOf(encoded));
    const { xdelta: stored } = await loadCalibrations(store);
    assert.deepEqual(stored, xdelta!.calibration);
  });
});
