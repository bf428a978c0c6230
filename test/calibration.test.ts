/** Predictions adjusted to what was encoded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calibrationOf, parseCalibrations, serializeCalibrations } from '../lib/pairing/calibration.ts';
import { createRandom } from './support/random.ts';

test('finds the factors behind many patches, and keeps to the costs where there are few', () => {
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
