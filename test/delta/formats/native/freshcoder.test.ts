/** The coding of new bytes in mixed patches of the format `panamax`. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { PanamaxError } from '../../../../lib/errors.ts';
import { FreshDecoder, FreshEncoder } from '../../../../lib/delta/formats/native/freshcoder.ts';
import { createRandom, type Random } from '../../../support/random.ts';

const REFUSAL = { kind: 'bad-patch', message: /a run of new bytes is too short or too long/ };

const KINDS: Readonly<Record<string, (random: Random, size: number) => Buffer>> = {
  noise: (random, size) => random.bytes(size),
  text: (random, size) => Buffer.from(random.text(size)),
  'one byte': (_, size) => Buffer.alloc(size, 7),
  repeats(random, size) {
    const parts = Array.from({ length: 8 }, () => random.bytes(20 + random.below(2000)));
    const joined: Buffer[] = [];
    for (let total = 0; total < size; total += joined.at(-1)!.length) joined.push(parts[random.below(8)]!);
    return Buffer.concat(joined).subarray(0, size);
  },
};

function decode(decoder: FreshDecoder, coded: Uint8Array, sizes: readonly number[]): Buffer {
  decoder.open(coded);
  const taken = sizes.map((size) => decoder.take(size));
  decoder.close();
  return Buffer.concat(taken);
}

/** Random sizes with the sum `total`, some of them 0. */
function cuts(random: Random, total: number): number[] {
  const sizes: number[] = [];
  for (let left = total; left > 0; left -= sizes.at(-1)!) sizes.push(Math.min(left, random.below(100_000)));
  return sizes;
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`decodes run after run of ${kind}, in pieces of any size`, () => {
    const random = createRandom(21);
    const [encoder, decoder] = [new FreshEncoder(), new FreshDecoder()];
    for (const size of [1, 2, 70_000, 3, 40_000]) {
      const bytes = make(random, size);
      const coded = encoder.encode(bytes);
      // the bound of a section (docs/formats.md)
      assert.ok(coded.length <= size + (size >> 8) + 1024, `${coded.length} of ${size}`);
      assert.ok(decode(decoder, coded, cuts(random, size)).equals(bytes), `${size}`);
    }
  });
}

test('a later run knows the bytes of the earlier ones', () => {
  const bytes = createRandom(22).bytes(50_000);
  const encoder = new FreshEncoder();
  assert.ok(encoder.encode(bytes).length > 50_000);
  assert.ok(encoder.encode(bytes).length < 1000);
});

test('makes the same bytes as ever', () => {
  const random = createRandom(23);
  const encoder = new FreshEncoder();
  const hash = createHash('sha256');
  for (const make of Object.values(KINDS)) hash.update(encoder.encode(make(random, 30_000)));
  assert.equal(hash.digest('hex').slice(0, 16), 'd7cb070358842c54');
});

test('refuses runs that are too short or too long', () => {
  const bytes = Buffer.from(createRandom(24).text(20_000));
  const coded = new FreshEncoder().encode(bytes);
  const short = coded.subarray(0, coded.length - 20);
  assert.throws(() => decode(new FreshDecoder(), short, [bytes.length]), REFUSAL);
  const long = Buffer.concat([coded, Buffer.from('more than is read ahead')]);
  assert.throws(() => decode(new FreshDecoder(), long, [bytes.length]), REFUSAL);
});

test('decodes any bytes to as many as are taken, or refuses them', () => {
  const random = createRandom(25);
  const decoder = new FreshDecoder();
  for (let i = 0; i < 20; i++) {
    const noise = random.bytes(random.below(5000));
    decoder.open(noise);
    const size = random.below(20_000);
    assert.equal(decoder.take(size).length, size);
    try {
      decoder.close();
    } catch (error) {
      assert.ok(error instanceof PanamaxError);
      assert.equal(error.kind, 'bad-patch');
    }
  }
});
