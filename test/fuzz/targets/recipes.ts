/** Compression recipes as patches have them, and the encoders that they start. */
import assert from 'node:assert/strict';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { ENCODERS } from '../../../lib/compression/encoders.ts';
import { headerSize, parseCompression } from '../../../lib/compression/recipe.ts';
import { recompressed } from '../../../lib/compression/recompress.ts';
import { parseDocument } from '../../../lib/json.ts';
import { createRandom } from '../../support/random.ts';
import { inPieces } from '../pieces.ts';
import type { FuzzTarget } from '../target.ts';

export function open(): FuzzTarget {
  const text = Buffer.from(createRandom(3).text(2000));
  const gzip = gzipSync(text);
  const zstd = zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const headers = {
    gzip: gzip.subarray(0, headerSize(gzip, 'gzip')).toString('base64'),
    zstd: zstd.subarray(0, headerSize(zstd, 'zstd')).toString('base64'),
  };
  const recipes = Object.entries(ENCODERS).flatMap(([encoder, { format, levels }]) =>
    [levels[0], levels.at(-1)].map((level) => ({
      encoder,
      level,
      blockSize: 65_536,
      header: headers[format],
    })),
  );
  const libzstd = { encoder: 'libzstd', version: process.versions.zstd, level: 3, header: headers.zstd };
  return {
    seeds: [...recipes, libzstd].map((recipe) => Buffer.from(JSON.stringify(recipe))),
    kinds: ['bad-input', 'bad-patch', 'limit'],
    isInner: true,
    words: Object.keys(ENCODERS),
    async run(input) {
      const compression = parseCompression(parseDocument(input, 'recipe'), 'recipe');
      if (!compression) return;
      let size = 0;
      for await (const piece of recompressed(inPieces(text), compression)) size += piece.length;
      assert.ok(size < 2 * text.length + 70_000, `${size} bytes`);
    },
  };
}
