/** The mixer of the format `panamax`: plain bytes by their prediction. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { BitDecoder, BitEncoder } from '../../../../lib/delta/formats/native/bitcoder.ts';
import { ClassList } from '../../../../lib/delta/formats/native/mixedsink.ts';
import { comparePlain } from '../../../../lib/delta/formats/native/plaincoder.ts';
import { PlainMixer } from '../../../../lib/delta/formats/native/plainmixer.ts';
import { CLASSES } from '../../../../lib/delta/formats/native/streams.ts';
import { createRandom, type Random } from '../../../support/random.ts';

/** Bytes of the source in front of a group and behind it. */
const AROUND = 16;

/** A part of a group that is coded at once; gaps between parts are operands or new bytes. */
interface Part {
  readonly byteClass: number;
  readonly at: number;
  readonly length: number;
}

interface Group {
  readonly predicted: Buffer;
  readonly target: Buffer;
  readonly parts: readonly Part[];
}

function encode(mixer: PlainMixer, { predicted, target, parts }: Group): Uint8Array {
  const lists = Array.from({ length: CLASSES }, () => new ClassList());
  const bytes = Uint8Array.from(target);
  for (const { byteClass, at, length } of parts) {
    comparePlain(lists[byteClass]!, predicted, AROUND + at, bytes, at, length);
  }
  const coder = new BitEncoder();
  mixer.start(coder, lists);
  for (const { byteClass, at, length } of parts) {
    mixer.code(byteClass, predicted, AROUND + at, bytes, at, length);
  }
  assert.ok(target.equals(bytes), 'an encoder does not change the target');
  return coder.finish();
}

/** @param known bytes of the target outside of the parts */
function decode(mixer: PlainMixer, { predicted, parts }: Group, known: Buffer, coded: Uint8Array): Buffer {
  const bytes = Buffer.from(known);
  for (const { at, length } of parts) bytes.fill(0xaa, at, at + length);
  mixer.start(new BitDecoder(coded));
  for (const { byteClass, at, length } of parts) {
    mixer.code(byteClass, predicted, AROUND + at, bytes, at, length);
  }
  return bytes;
}

/** Bytes with changes of several kinds: single ones, words in columns, repeated ones, stretches of other bytes. */
function group(random: Random, size: number): Group {
  const predicted = Buffer.concat([
    random.bytes(AROUND),
    Buffer.from(random.text(size)),
    random.bytes(AROUND),
  ]);
  const target = Buffer.from(predicted.subarray(AROUND, AROUND + size));
  for (let at = 0; at < size; at += 1 + random.below(400)) {
    const kind = random.below(4);
    const count = random.below(30);
    for (let i = 0; i < count; i++) {
      const place = kind === 0 ? at + i : kind === 1 ? at + 8 * i : kind === 2 ? at + 3 * i : at;
      if (place < size) target[place]! += kind === 0 ? random.below(256) : 1 + kind;
    }
  }
  const parts: Part[] = [];
  for (let at = 0; at < size;) {
    const length = Math.min(size - at, random.below(5) === 0 ? random.below(3000) : 1 + random.below(60));
    parts.push({ byteClass: random.below(CLASSES), at, length });
    at += length + (random.below(3) === 0 ? 4 : random.below(20) === 0 ? random.below(100) : 0);
  }
  return { predicted, target, parts };
}

test('decodes group after group', () => {
  const [encoder, decoder] = [new PlainMixer(), new PlainMixer()];
  for (let seed = 1; seed <= 12; seed++) {
    const random = createRandom(seed);
    const one = group(random, 1 + random.below(seed * 2000));
    const coded = encode(encoder, one);
    assert.ok(one.target.equals(decode(decoder, one, one.target, coded)), `seed ${seed}`);
  }
});

test('makes the same bytes on every machine', () => {
  const mixer = new PlainMixer();
  const hash = createHash('sha256');
  for (let seed = 1; seed <= 3; seed++) hash.update(encode(mixer, group(createRandom(seed), 10_000)));
  assert.equal(hash.digest('hex').slice(0, 16), '00834e85f2602ba4');
});

test('codes long stretches as predicted, and repeated changes, in some bytes', () => {
  const size = 200_000;
  const predicted = Buffer.from(createRandom(1).text(size + 2 * AROUND));
  const target = Buffer.from(predicted.subarray(AROUND, AROUND + size));
  const parts = [{ byteClass: 1, at: 0, length: size }];
  for (let at = 100; at < size; at += 1000) target[at] = predicted[AROUND + at]! + 5;
  assert.ok(encode(new PlainMixer(), { predicted, target, parts }).length < 60);
});

test('ends for any bytes that are no output of an encoder', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = createRandom(seed);
    const one = group(random, 5000);
    const decoded = decode(new PlainMixer(), one, one.target, random.bytes(random.below(3000)));
    assert.equal(decoded.length, one.target.length);
  }
});
