/** Content sketches: shared bytes are found at any offset and at any level of sampling. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createContentSketcher,
  MAX_SAMPLES,
  type ContentSketch,
} from '../../../lib/pairing/signature/contentsketch.ts';
import { createRandom } from '../../support/random.ts';

function sketch(content: Uint8Array, chunk = content.length): ContentSketch {
  const sketcher = createContentSketcher();
  for (let at = 0; at < content.length; at += chunk) sketcher.update(content.subarray(at, at + chunk));
  return sketcher.finish();
}

const bytes = (seed: number, size: number) => createRandom(seed).bytes(size);

function common(a: ContentSketch, b: ContentSketch): number {
  const divisor = 2 ** Math.max(a.level, b.level);
  const others = new Set(b.samples);
  const own = [...a.samples].filter((sample) => sample % divisor === 0);
  return own.filter((sample) => others.has(sample)).length / own.length;
}

test('is the same for any chunks, and does not depend on earlier contents', () => {
  const content = bytes(1, 300_000);
  const whole = sketch(content);
  assert.ok(whole.samples.length > 200 && whole.samples.length < 400);
  for (const chunk of [1009, 65_536, 65_537, 299_999]) assert.deepEqual(sketch(content, chunk), whole);
  const sketcher = createContentSketcher();
  sketcher.update(bytes(2, 100_001));
  sketcher.finish();
  sketcher.update(content);
  assert.deepEqual(sketcher.finish(), whole);
});

test('shares samples with a content that has the same bytes at other offsets', () => {
  const shared = bytes(3, 600_000);
  const one = sketch(Buffer.concat([shared, bytes(4, 200_000)]));
  const other = sketch(Buffer.concat([bytes(5, 77_777), shared]));
  assert.ok(Math.abs(common(one, other) - 0.75) < 0.1);
  assert.ok(common(one, sketch(bytes(6, 800_000))) < 0.01);
});

test('is bounded for a large content and comparable with that of a small one', () => {
  const content = bytes(7, 6_000_000);
  const whole = sketch(content);
  assert.ok(whole.samples.length <= MAX_SAMPLES && whole.samples.length > MAX_SAMPLES / 4);
  assert.ok(whole.level >= 3);
  assert.ok(whole.samples.every((sample, i) => i === 0 || sample > whole.samples[i - 1]!));
  const half = sketch(content.subarray(0, 3_000_000));
  assert.ok(common(half, whole) > 0.95);
  assert.ok(Math.abs(common(whole, half) - 0.5) < 0.1);
});

test('has a low density for compressible content', () => {
  const random = createRandom(8);
  assert.ok(sketch(random.bytes(50_000)).density > 0.95);
  assert.ok(sketch(Buffer.alloc(50_000)).density < 0.05);
  const text = sketch(Buffer.from(random.text(50_000))).density;
  assert.ok(text > 0.3 && text < 0.8, String(text));
  assert.deepEqual(sketch(Buffer.alloc(0)), { density: 0, level: 0, samples: new Uint32Array() });
});
