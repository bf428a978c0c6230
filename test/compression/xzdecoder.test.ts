/** Ends of sections in an .xz stream: every byte of a section has to be used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XzDecoder } from '../../lib/compression/lzma/xzdecoder.ts';
import { createRandom } from '../support/random.ts';
import { SECTION_WINDOW, xzSection } from '../support/xzsection.ts';

const REPETITIVE = Buffer.from('a section of a patch, '.repeat(200));
const RANDOM = createRandom(3).bytes(500);

function decode(stored: Uint8Array, size: number): Buffer {
  const decoder = new XzDecoder(SECTION_WINDOW);
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
    assert.ok(decode(xzSection(bytes), bytes.length).equals(bytes));
  });

  test(`refuses a byte left over behind ${name} chunks`, () => {
    const longer = Buffer.concat([xzSection(bytes), Buffer.of(0)]);
    assert.throws(() => decode(longer, bytes.length), { kind: 'bad-patch', message: /the end of a section/ });
  });

  test(`refuses ${name} chunks that hold more than is read`, () => {
    const refused = { kind: 'bad-patch', message: /the end of a section/ };
    assert.throws(() => decode(xzSection(bytes), bytes.length - 1), refused);
  });
}
