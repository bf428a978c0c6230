/** Bounds of VCDIFF instructions (RFC 3284), on windows made by hand without checksums. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeVcdiff } from '../../../../lib/delta/formats/xdelta/vcdiff/decode/decode.ts';
import {
  addOpcode,
  copyOpcode,
  MODE_HERE,
  MODE_SELF,
} from '../../../../lib/delta/formats/xdelta/vcdiff/codetable.ts';
import { writeHeader } from '../../../../lib/delta/formats/xdelta/vcdiff/header.ts';
import { writeWindowHeader } from '../../../../lib/delta/formats/xdelta/vcdiff/window.ts';
import { memoryAccess } from '../../../../lib/delta/randomaccess.ts';

const SOURCE = Buffer.from('0123456789abcdefghijklmnopqrstuv');
/** The segment is smaller than the source: bytes behind it could be read. */
const SEGMENT = 16;

interface Window {
  readonly targetSize: number;
  readonly data?: string;
  readonly instructions: readonly number[];
  readonly addresses?: readonly number[];
  readonly segmentOffset?: number;
}

async function decode({ targetSize, data = '', instructions, addresses = [], segmentOffset = 0 }: Window) {
  const sections = [Buffer.from(data), Buffer.from(instructions), Buffer.from(addresses)] as const;
  const header = writeWindowHeader({
    segmentOffset,
    segmentSize: SEGMENT,
    targetSize,
    sizes: { data: sections[0].length, instructions: sections[1].length, addresses: sections[2].length },
    compressed: { data: false, instructions: false, addresses: false },
  });
  const patch = Buffer.concat([writeHeader({}), header, ...sections]);
  async function* pieces() {
    yield patch;
  }
  const target: Buffer[] = [];
  for await (const piece of decodeVcdiff(pieces(), memoryAccess(SOURCE), { maxTargetSize: 100 })) {
    target.push(Buffer.from(piece));
  }
  return Buffer.concat(target).toString();
}

const copy = (size: number, mode = MODE_SELF) => copyOpcode(mode, size);

test('executes instructions up to the ends of segment and window', async () => {
  const window = { targetSize: 11, data: 'xyz', instructions: [copy(8), addOpcode(3)], addresses: [8] };
  assert.equal(await decode(window), '89abcdefxyz');
  const within = { targetSize: 11, data: 'xyz', instructions: [addOpcode(3), copy(8)], addresses: [SEGMENT] };
  assert.equal(await decode(within), 'xyzxyzxyzxy');
});

const refused: readonly (readonly [string, RegExp, Window])[] = [
  [
    'a copy that begins within the source segment and ends behind it',
    /a copy goes beyond the source segment/,
    { targetSize: 8, instructions: [copy(8)], addresses: [12] },
  ],
  [
    'a copy from an address that is not built yet',
    /a copy has an impossible address/,
    { targetSize: 8, instructions: [copy(8)], addresses: [SEGMENT] },
  ],
  [
    'a copy from an address before the source segment',
    /a copy has an impossible address/,
    { targetSize: 8, instructions: [copy(8, MODE_HERE)], addresses: [SEGMENT + 1] },
  ],
  [
    'a copy of more than is left of the window',
    /an instruction goes beyond its window/,
    { targetSize: 7, instructions: [copy(8)], addresses: [0] },
  ],
  [
    'an addition of more than is left of the window',
    /an instruction goes beyond its window/,
    { targetSize: 2, data: 'xyz', instructions: [addOpcode(3)] },
  ],
  [
    'an addition of more than the data section holds',
    /a section is shorter than its window needs/,
    { targetSize: 3, data: 'xy', instructions: [addOpcode(3)] },
  ],
  [
    'instructions that do not fill the window',
    /a window is not filled/,
    { targetSize: 9, instructions: [copy(8)], addresses: [0] },
  ],
  [
    'bytes left over in a section',
    /a section is longer than its window needs/,
    { targetSize: 8, instructions: [copy(8)], addresses: [0, 0] },
  ],
  [
    'a source segment that ends behind the source',
    /behind the end of this source/,
    {
      targetSize: 8,
      instructions: [copy(8)],
      addresses: [0],
      segmentOffset: SOURCE.length - SEGMENT + 1,
    },
  ],
];

for (const [title, message, window] of refused) {
  test(`refuses ${title}`, async () => {
    await assert.rejects(decode(window), { kind: 'bad-patch', message });
  });
}
