/** Recipes, the headers of compressed layers, and the bytes that recipes make. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { candidates } from '../../lib/compression/encoders.ts';
import { gzipHeaderSize } from '../../lib/compression/gzip.ts';
import { headerSize, parseCompression } from '../../lib/compression/recipe.ts';
import { createXxhash } from '../../lib/compression/zstd/xxhash.ts';
import { recompress } from '../support/recompress.ts';
import { composed, noise } from '../support/samples.ts';

const HEADER = 'H4sIAAAAAAAA/w==';
const ZSTD_HEADER = 'KLUv/QRo';
test('makes the same bytes for any chunks, which decompress to the input', () => {
  const pieces = fc.integer({ min: 1, max: 200_000 });
  const recipe = fc.constantFrom(
    ...candidates('gzip').map((candidate) => ({ ...candidate, header: HEADER })),
    ...candidates('zstd').map((candidate) => ({ ...candidate, header: ZSTD_HEADER })),
  );
  const property = fc.property(composed, pieces, recipe, (input, pieceSize, chosen) => {
    const made = recompress(chosen, input, pieceSize);
    assert.ok(made.equals(recompress(chosen, input)));
    const decompress = chosen.header === HEADER ? gunzipSync : zstdDecompressSync;
    assert.ok(decompress(made).equals(input));
  });
  fc.assert(property, { numRuns: 60 });
});

test('refuses invalid recipes', () => {
  const good = { encoder: 'pigz', level: 6, blockSize: 131_072, header: HEADER };
  const libzstd = { encoder: 'libzstd', version: process.versions.zstd, level: 19, header: ZSTD_HEADER };
  assert.deepEqual(parseCompression(good, 'test'), good);
  assert.deepEqual(parseCompression(libzstd, 'test'), libzstd);
  assert.deepEqual(parseCompression({ encoder: 'none', more: 1 }, 'test'), { encoder: 'none' });
  // of a later version of panamax
  assert.equal(parseCompression({ encoder: 'brotli', quality: 11 }, 'test'), undefined);
  assert.equal(parseCompression({ encoder: 'constructor' }, 'test'), undefined);
  for (const bad of [
    null,
    [],
    'go',
    {},
    { ...good, encoder: 7 },
    { ...good, level: 0 },
    { ...good, level: 10 },
    { ...good, level: 6.5 },
    { ...good, level: '6' },
    { ...good, blockSize: undefined },
    { ...good, blockSize: 1 },
    { ...good, blockSize: 2 ** 40 },
    { ...good, header: undefined },
    { ...good, header: '' },
    { ...good, header: 'AAAA' },
    { ...good, header: Buffer.from(HEADER, 'base64').subarray(0, 9).toString('base64') },
    { ...good, header: Buffer.from('1f8b08000000000000ff00', 'hex').toString('base64') },
    { ...good, header: Buffer.from('1f8b08080000000000ff41', 'hex').toString('base64') },
    { ...good, encoder: 'klauspost-zstd-1.17.8', level: 2 },
    { ...good, header: ZSTD_HEADER },
    { ...libzstd, version: 7 },
    { ...libzstd, version: undefined },
    { ...libzstd, level: 20 },
    { ...libzstd, level: 0 },
    { ...libzstd, header: HEADER },
    // a size beyond 2^53
    { ...libzstd, header: Buffer.from('28b52ffdc4581122334455667788', 'hex').toString('base64') },
  ]) {
    assert.throws(() => parseCompression(bad, 'test'), { kind: 'bad-input' }, JSON.stringify(bad));
  }
});

test('measures headers of zstd frames', () => {
  for (const [hex, size] of [
    ['28b52ffd0468', 6],
    ['28b52ffd2400', 6],
    ['28b52ffd6400112233', 7],
    ['28b52ffd84580011223344', 10],
    ['28b52ffdc458001122334455667788', 14],
    ['28b52ffd845800', undefined],
    // a dictionary, and a reserved flag
    ['28b52ffd056800', undefined],
    ['28b52ffd0c6800', undefined],
    ['1f8b08000000000000ff', undefined],
    ['', undefined],
  ] as const) {
    assert.equal(headerSize(Buffer.from(hex, 'hex'), 'zstd'), size, hex);
  }
});

test('computes the checksum of zstd frames', () => {
  const input = noise.subarray(0, 100_000);
  for (const size of [0, 1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 99, 4096, 100_000]) {
    const part = input.subarray(0, size);
    const made = zstdCompressSync(part, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    for (const step of [1, 5, 32, 100_000]) {
      const hash = createXxhash();
      for (let at = 0; at < size; at += step) hash.update(part.subarray(at, at + step));
      assert.equal(hash.low(), made.readUInt32LE(made.length - 4), `${size} bytes by ${step}`);
    }
  }
});

test('measures headers of gzip members', () => {
  for (const [hex, size] of [
    ['1f8b08000000000000ff', 10],
    ['1f8b08000000000000ff4b', 10],
    ['1f8b08080000000000ff6100cc', 12],
    ['1f8b08180000000000ff61006200cc', 14],
    ['1f8b08040000000000ff0200aabbcc', 14],
    ['1f8b08020000000000ffaabbcc', 12],
    ['1f8b081e0000000000ff0100aa61006200ccccdd', 19],
    ['1f8b08080000000000ff6162', undefined],
    ['1f8b08040000000000ff0200aa', undefined],
    ['1f8b07000000000000ff', undefined],
    ['1f8b', undefined],
    ['', undefined],
  ] as const) {
    assert.equal(gzipHeaderSize(Buffer.from(hex, 'hex')), size, hex);
  }
});
