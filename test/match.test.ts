/** The matcher of two buffers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFFORTS } from '../lib/delta/alignment.ts';
import { alignBuffers } from '../lib/delta/match/align.ts';
import { createRandom } from './support/random.ts';

const random = createRandom(7);

/** Bytes of the target that alignments make equal to the source. */
function equalBytes(source: Uint8Array, target: Uint8Array, items: ReturnType<typeof alignBuffers>): number {
  let equal = 0;
  let end = 0;
  for (let i = 0; i < items.count; i++) {
    const [t, s, length] = [items.target[i]!, items.source[i]!, items.length[i]!];
    assert.ok(t >= end && s >= 0 && s + length <= source.length, 'items ascend within both buffers');
    end = t + length;
    for (let k = 0; k < length; k++) if (source[s + k] === target[t + k]) equal++;
  }
  assert.ok(end <= target.length);
  return equal;
}

describe('buffers are aligned', () => {
  for (const effort of EFFORTS) {
    test(`what moved and changed in single bytes is found with effort ${effort}`, () => {
      const source = random.bytes(200_000);
      const target = Buffer.concat([
        source.subarray(120_000),
        random.bytes(5_000),
        source.subarray(0, 120_000),
      ]);
      for (let i = 0; i < target.length; i += 41) target[i]! ^= 0x55;
      const items = alignBuffers(source, target, effort);
      assert.ok(equalBytes(source, target, items) > 0.97 * 200_000 * (40 / 41));
      assert.ok(items.count < 50);
    });
  }

  test('zeros, repetitions and short buffers come to an end', () => {
    const zeros = new Uint8Array(3_000_000);
    const repeated = Buffer.alloc(3_000_000, 'abcdefghi');
    for (const source of [zeros, repeated, new Uint8Array(), zeros.subarray(0, 7)]) {
      for (const target of [
        zeros,
        repeated,
        Buffer.from(repeated).reverse(),
        new Uint8Array(),
        zeros.subarray(0, 9),
      ]) {
        equalBytes(source, target, alignBuffers(source, target));
      }
    }
  });

  test('the same buffers give the same alignments', () => {
    const source = random.bytes(50_000);
    const target = Buffer.concat([source.subarray(9), random.bytes(99), source.subarray(0, 30_000)]);
    assert.deepEqual(alignBuffers(source, target).items(), alignBuffers(source, target).items());
  });
});
