/** Secondary compression of VCDIFF sections; its result does not depend on threads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFFORTS } from '../../../../lib/delta/align/alignment.ts';
import {
  createCompressorPool,
  singleCompressor,
} from '../../../../lib/delta/formats/xdelta/vcdiff/encode/compressorpool.ts';
import { openSecondary } from '../../../../lib/delta/formats/xdelta/vcdiff/decode/secondary.ts';
import type { Sections } from '../../../../lib/delta/formats/xdelta/vcdiff/encode/sections.ts';
import { SECTIONS } from '../../../../lib/delta/formats/xdelta/vcdiff/window.ts';
import { createRandom } from '../../../support/random.ts';

/** Groups of windows whose data repeat earlier windows, some from the far end of the dictionary. */
function createGroups(): Sections[][] {
  const random = createRandom(11);
  const words = Array.from({ length: 500 }, () => random.bytes(3 + random.below(40)));
  const bytes = (size: number) => {
    const out = Buffer.alloc(size);
    for (let at = 0; at < size;) {
      const word = words[random.below(words.length)]!;
      out.set(word.subarray(0, size - at), at);
      at += word.length;
    }
    return new Uint8Array(out);
  };
  const window = (size: number): Sections => ({
    data: bytes(size),
    instructions: bytes(size >> 3),
    addresses: size % 2 === 0 ? bytes(size >> 2) : new Uint8Array(),
  });
  return [
    [window(1_500_000), window(301)],
    [window(4_400_000)],
    [window(12)],
    [window(5_000_000), window(77)],
  ];
}

function copied(groups: readonly (readonly Sections[])[]): Sections[][] {
  return groups.map((group) => group.map((sections) => structuredClone(sections)));
}

describe('compressing sections', () => {
  const groups = createGroups();
  for (const thoroughness of [
    ...EFFORTS.slice(0, 2).map((effort) => ({ effort, much: false })),
    { effort: 'default' as const, much: true },
  ]) {
    const { effort, much } = thoroughness;
    test(`gives the same bytes in one thread and in several, effort ${effort}${much ? ', much data' : ''}`, async () => {
      const single = singleCompressor(thoroughness);
      const expected = [];
      for (const group of copied(groups)) expected.push(await single.compress(group));
      await using pool = createCompressorPool(thoroughness);
      const found = await Promise.all(copied(groups).map((group) => pool.compress(group)));
      assert.deepEqual(found.flat().map(digestible), expected.flat().map(digestible));

      const decoder = openSecondary('lzma', 2 ** 26);
      for (const [i, compressed] of expected.flat().entries()) {
        for (const name of SECTIONS) {
          const plain = groups.flat()[i]![name];
          if (plain.length === 0) continue;
          assert.ok(compressed[name].length < plain.length * 0.9 + 100);
          const section = decoder.section(name, new Uint8Array(compressed[name]));
          const found = new Uint8Array(plain.length);
          section.readInto(found, 0, found.length);
          assert.equal(Buffer.compare(found, plain), 0);
        }
      }
    });
  }
});

function digestible({ data, instructions, addresses }: Sections): string[] {
  return [data, instructions, addresses].map((bytes) => Buffer.from(bytes).toString('base64'));
}
