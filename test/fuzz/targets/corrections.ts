/** Corrections of compressed streams. */
import { gzipSync } from 'node:zlib';
import { correct } from '../../../lib/compression/corrected/corrected.ts';
import { recompressed } from '../../../lib/compression/recompress.ts';
import { createRandom } from '../../support/random.ts';
import { inPieces } from '../pieces.ts';
import type { FuzzTarget } from '../target.ts';

const SEARCH = { key: 4, shorts: true, chain: 16, lazyChain: 8, inside: 258 } as const;

export async function open(): Promise<FuzzTarget> {
  const random = createRandom(11);
  const text = Buffer.concat([Buffer.from(random.text(3000)), random.bytes(500)]);
  const seeds: Uint8Array[] = [];
  for (const options of [{ level: 1 }, { level: 9 }, { level: 0 }, { level: 6, strategy: 4 }]) {
    const blob = gzipSync(text, options);
    seeds.push(
      (await correct({ blob: () => inPieces(blob), text: () => inPieces(text) }, SEARCH, Infinity))!,
    );
  }
  return {
    seeds,
    kinds: ['bad-patch', 'limit'],
    isInner: true,
    async run(input) {
      const correction = input.toString('base64');
      const recipe = { encoder: 'corrected', search: SEARCH, correction } as const;
      for await (const piece of recompressed(inPieces(text), recipe)) void piece;
    },
  };
}
