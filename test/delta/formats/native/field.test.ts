/** Numbers in instructions for arm64. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BRANCH, NEAR, numberIn, OFFSET, PAGES, wordOf } from '../../../../lib/delta/formats/native/field.ts';
import { createRandom } from '../../../support/random.ts';

const FIELDS = [BRANCH, NEAR, OFFSET, PAGES];

test('reads the numbers of instructions', () => {
  for (const [field, word, number] of [
    [BRANCH, 0x94000001, 1],
    [BRANCH, 0x97ffffff, -1],
    [NEAR, 0x54ffffe1, -1],
    [NEAR, 0x58000040, 2],
    [OFFSET, 0x913ffc00, 0xfff],
    [PAGES, 0xb0000000, 1],
    [PAGES, 0xd0ffffe3, -2],
  ] as const) {
    assert.equal(numberIn(field, word | 0, word | 0), number, word.toString(16));
  }
});

test('has a number of its own for each word, whatever word it is like', () => {
  const random = createRandom(1);
  for (const field of FIELDS) {
    for (let i = 0; i < 5000; i++) {
      const like = random.bytes(4).readInt32LE();
      const word = i % 3 === 0 ? like ^ (1 << random.below(32)) : random.bytes(4).readInt32LE();
      assert.equal(wordOf(field, numberIn(field, word, like), like), word);
    }
  }
});
