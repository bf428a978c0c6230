/** Ends of sections in an .xz stream: every byte of a section has to be used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lzma2Encoder } from '../../lib/compression/lzma/lzma2encoder.ts';
import { xzPrologue } from '../../lib/compression/lzma/xz.ts';
import { XzDecoder } from '../../lib/compression/lzma/xzdecoder.ts';
import { createRandom } from '../support/random.ts';

const WINDOW = 2 ** 16;
const REPETITIVE = Buffer.from('a section of a patch, '.repeat(200));
const RANDOM = createRandom(3).bytes(500);

function section(bytes: Uint8Array): Buffer {
  const encoder = new Lzma2Encoder({
    properties: { lc: 3, lp: 0, pb: 0 },
    maxPiece: WINDOW,
    window: WINDOW,
    rowCountBits: 10,
    depth: 4,
    niceLength: 32,
    optimal: false,
  });
  return Buffer.concat([xzPrologue(WINDOW), ...encoder.encode(bytes, [bytes.length])]);
}

function decode(stored: Uint8Array, size: number): Buffer {
  const decoder = new XzDecoder(WINDOW);
  decoder.open(new Uint8Array(stored));
  const target = Buffer.alloc(size);
  decoder.read(target, 0, size);
  decoder.finish();
  return target;
}

for (const [name, bytes] of [
  ['compressed', REPETITIVE],
  ['stored', RANDOM],
] as const) {
  test(`decodes a section of ${name} chunks that is used to its end`, () => {
    assert.ok(decode(section(bytes), bytes.length).equals(bytes));
  });

  test(`refuses a byte left over behind ${name} chunks`, () => {
    const longer = Buffer.concat([section(bytes), Buffer.of(0)]);
    assert.throws(() => decode(longer, bytes.length), { kind: 'bad-patch', message: /the end of a section/ });
  });

  test(`refuses ${name} chunks that hold more than is read`, () => {
    const refused = { kind: 'bad-patch', message: /the end of a section/ };
    assert.throws(() => decode(section(bytes), bytes.length - 1), refused);
  });
}
