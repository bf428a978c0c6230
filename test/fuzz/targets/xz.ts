/** Streams of xz with LZMA2, as sections of VCDIFF have them. The first two bytes are the size that is read. */
import { BLOCK_HEADER_SIZE, STREAM_HEADER_SIZE } from '../../../lib/compression/lzma/xz.ts';
import { XzDecoder } from '../../../lib/compression/lzma/xzdecoder.ts';
import { crc32 } from 'node:zlib';
import { createRandom } from '../../support/random.ts';
import { SECTION_WINDOW, xzSection } from '../../support/xzsection.ts';
import type { FuzzTarget } from '../target.ts';

export function open(): FuzzTarget {
  const random = createRandom(1);
  const texts = [
    random.text(2000),
    'a section of a patch, '.repeat(60),
    random.bytes(300).toString('latin1'),
  ];
  return {
    seeds: texts.flatMap((text) => [seed(text, false), seed(text, true)]),
    kinds: ['bad-patch', 'limit'],
    isInner: true,
    run(input) {
      if (input.length < 2) return;
      const decoder = new XzDecoder(SECTION_WINDOW);
      decoder.open(new Uint8Array(input.subarray(2)));
      const target = Buffer.alloc(input.readUInt16LE());
      decoder.read(target, 0, target.length);
      decoder.finish();
    },
    repair(input) {
      const [block, end] = [2 + STREAM_HEADER_SIZE, 2 + STREAM_HEADER_SIZE + BLOCK_HEADER_SIZE];
      if (input.length < end) return input;
      input.writeUInt32LE(crc32(input.subarray(8, 10)), 10);
      input.writeUInt32LE(crc32(input.subarray(block, end - 4)), end - 4);
      return input;
    },
  };
}

function seed(text: string, optimal: boolean): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const size = Buffer.alloc(2);
  size.writeUInt16LE(bytes.length);
  return Buffer.concat([size, xzSection(bytes, optimal)]);
}
