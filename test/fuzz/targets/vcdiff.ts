/** VCDIFF (RFC 3284), with and without LZMA; checksums are not compared, so that damage behind them is reached. */
import assert from 'node:assert/strict';
import { addOpcode, copyOpcode, MODE_SELF } from '../../../lib/delta/formats/xdelta/vcdiff/codetable.ts';
import { decodeVcdiff } from '../../../lib/delta/formats/xdelta/vcdiff/decode/decode.ts';
import { writeHeader } from '../../../lib/delta/formats/xdelta/vcdiff/header.ts';
import { writeWindowHeader } from '../../../lib/delta/formats/xdelta/vcdiff/window.ts';
import { memoryAccess } from '../../../lib/delta/randomaccess.ts';
import type { Scope } from '../../support/scope.ts';
import { inPieces } from '../pieces.ts';
import { smallLayers, smallPatch } from '../samples.ts';
import type { FuzzTarget } from '../target.ts';

const MOST = 1 << 20;

export async function open(scope: Scope): Promise<FuzzTarget> {
  const { patch } = await smallPatch(scope, 'xdelta');
  const source = memoryAccess(Buffer.concat(smallLayers(1)));
  return {
    seeds: [patch, plainPatch(1), plainPatch(5)],
    kinds: ['bad-patch', 'limit'],
    isInner: true,
    async run(input) {
      let size = 0;
      const options = { maxTargetSize: MOST, maxDictionary: 4 * MOST, verify: false };
      for await (const piece of decodeVcdiff(inPieces(input), source, options)) size += piece.length;
      assert.ok(size <= MOST);
    },
  };
}

/** A patch without secondary compression. */
function plainPatch(windows: number): Buffer {
  const sections = [
    Buffer.from('xyz'),
    Buffer.of(copyOpcode(MODE_SELF, 8), addOpcode(3), copyOpcode(MODE_SELF + 1, 6)),
    Buffer.of(100, 50),
  ] as const;
  const window = Buffer.concat([
    writeWindowHeader({
      segmentOffset: 512,
      segmentSize: 1000,
      targetSize: 17,
      sizes: { data: sections[0].length, instructions: sections[1].length, addresses: sections[2].length },
      compressed: { data: false, instructions: false, addresses: false },
    }),
    ...sections,
  ]);
  return Buffer.concat([writeHeader({}), ...Array.from({ length: windows }, () => window)]);
}
