/** The range coder of the format `panamax`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BitDecoder, BitEncoder, createModels } from '../../../../lib/delta/formats/native/bitcoder.ts';
import { createRandom } from '../../../support/random.ts';

test('decodes its own sections, also those that end with many zeros', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = createRandom(seed);
    const bits = Array.from({ length: random.below(300) }, () => random.below(2));
    // the upper half of the range, again and again, codes to zeros or to ones
    const end = Array.from({ length: random.below(400) }, () => seed % 2);
    const encoder = new BitEncoder();
    const models = createModels(2);
    for (const bit of bits) encoder.bit(models, bit, bit);
    for (const bit of end) encoder.fixed(2 ** 15, bit);
    const decoder = new BitDecoder(encoder.finish());
    const again = createModels(2);
    assert.deepEqual(
      bits.map((bit) => decoder.bit(again, bit)),
      bits,
      `seed ${seed}`,
    );
    assert.deepEqual(
      end.map(() => decoder.fixed(2 ** 15)),
      end,
      `seed ${seed}`,
    );
    decoder.checkEnd();
  }
});
