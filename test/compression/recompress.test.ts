/** The encoders of this project make the same bytes as the real ones. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { openSync, readSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { candidates } from '../../lib/compression/encoders.ts';
import { gzipHeaderSize } from '../../lib/compression/gzip.ts';
import { headerSize, parseCompression, type EncoderRecipe } from '../../lib/compression/recipe.ts';
import { provenBlob, recompressed } from '../../lib/compression/recompress.ts';
import { LIBZSTD_LEVELS } from '../../lib/compression/zstd/libzstd.ts';
import { createXxhash } from '../../lib/compression/zstd/xxhash.ts';
import type { Digest } from '../../lib/digest.ts';
import { findCompression } from '../../lib/image/compression/detect.ts';
import { buildGoEncoders, piped, PROGRAMS, type RealEncoder } from '../support/encoders.ts';
import { digestOf } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { recompress } from '../support/recompress.ts';

const HEADER = 'H4sIAAAAAAAA/w==';
const ZSTD_HEADER = 'KLUv/QRo';

async function assertSame(encoder: RealEncoder, level: number, input: Uint8Array): Promise<void> {
  const expected = await encoder.compress(input, level);
  const { name, blockSize } = encoder;
  const format = name.includes('zstd') ? 'zstd' : 'gzip';
  // it makes no frame for empty input, but a tar is never empty
  if (format === 'zstd' && input.length === 0) return;
  const header = expected.toString('base64', 0, headerSize(expected, format));
  const recipe = parseCompression({ encoder: name, level, blockSize, header }, 'test') as EncoderRecipe;
  const made = recompress(recipe, input);
  const at = made.findIndex((byte, i) => byte !== expected[i]);
  assert.ok(made.equals(expected), `${name} -${level}, ${input.length} bytes: differs at ${at}`);
}

/** A part of a real executable. */
function executable(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  readSync(openSync(process.execPath, 'r'), bytes, 0, size, 20_000_000);
  return bytes;
}

const random = createRandom(1);
const noise = random.bytes(400_000);
const text = Buffer.from(random.text(400_000));

/** Repeats at distances near the encoders' limits. */
function repeats(distance: number): Buffer {
  const parts = [noise.subarray(0, distance)];
  for (let i = 0; i < 8; i++) parts.push(Buffer.from([i, i + 1]), noise.subarray(i, distance - 2));
  return Buffer.concat(parts);
}

const SAMPLES: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'one byte': Buffer.from('a'),
  'sixteen bytes': noise.subarray(0, 16),
  'thirty-three bytes': noise.subarray(0, 33),
  '127 bytes': text.subarray(0, 127),
  '128 bytes': text.subarray(0, 128),
  '255 bytes of noise': noise.subarray(0, 255),
  zeros: Buffer.alloc(300_000),
  noise,
  text,
  'text and noise': Buffer.concat([text, noise, text, noise.subarray(0, 65_535)]),
  'an executable': executable(1_300_000),
  'an end behind the last place where gzip looks for a match': executable(65_400),
  'the same a window later': executable(98_200),
  'distance 32506': repeats(32_506),
  'distance 32767': repeats(32_767),
  'distance 32768': repeats(32_768),
  'distance 32769': repeats(32_769),
};

/** For encoders with blocks of a megabyte. */
const BLOCKS: Readonly<Record<string, Buffer>> = {
  'a megabyte to the byte': executable(1024 ** 2),
  'two, and one byte': executable(2 * 1024 ** 2 + 1),
};

/** Text of literals, runs, and copies of earlier text. */
const composed = fc
  .array(
    fc.oneof(
      fc.record({ kind: fc.constant('noise' as const), size: fc.nat(30_000) }),
      fc.record({ kind: fc.constant('text' as const), size: fc.nat(60_000) }),
      fc.record({ kind: fc.constant('run' as const), size: fc.nat(2000) }),
      fc.record({ kind: fc.constant('copy' as const), size: fc.nat(700), distance: fc.nat(33_000) }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => {
    const bytes = Buffer.alloc(parts.reduce((sum, { size }) => sum + size, 0));
    let at = 0;
    for (const part of parts) {
      for (let i = 0; i < part.size; i++, at++) {
        const from = part.kind === 'copy' ? at - 1 - part.distance : -1;
        if (part.kind === 'noise') bytes[at] = noise[(at * 7 + i) % noise.length]!;
        else if (part.kind === 'text') bytes[at] = text[(at + i) % text.length]!;
        else bytes[at] = from >= 0 ? bytes[from]! : part.size;
      }
    }
    return bytes;
  });

const skip = missing('gzip', 'pigz', 'python3', 'go');
const encoders = skip ? [] : [...PROGRAMS, ...(await buildGoEncoders())];

describe('makes the bytes of the real encoder', { skip }, () => {
  for (const [name, input] of Object.entries(SAMPLES)) {
    test(name, async () => {
      for (const encoder of encoders) {
        for (const level of encoder.levels) await assertSame(encoder, level, input);
      }
    });
  }

  for (const [name, input] of Object.entries(BLOCKS)) {
    test(name, async () => {
      for (const encoder of encoders.filter(({ blockSize }) => blockSize === 1024 ** 2)) {
        for (const level of encoder.levels) await assertSame(encoder, level, input);
      }
    });
  }

  test('for any input', async () => {
    const property = fc.asyncProperty(composed, fc.nat(1000), async (input, number) => {
      for (const encoder of encoders) {
        await assertSame(encoder, encoder.levels[number % encoder.levels.length]!, input);
      }
    });
    await fc.assert(property, { numRuns: 40 });
  });
});

const judge = (input: Buffer, ...args: string[]) => piped(['libzstd-judge', ...args], input);

async function assertFound(input: Buffer, level: number, ...options: string[]): Promise<void> {
  const blob = await judge(input, String(level), ...options);
  const digest = digestOf(blob) as Digest;
  const layer = {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd', digest, size: blob.length },
    diffID: digestOf(input) as Digest,
    head: blob,
  };
  const found = await findCompression(layer, () => inPieces(input, 100_000));
  assert.ok(found?.encoder === 'libzstd', `${input.length} bytes at ${level}: ${found?.encoder}`);
  assert.deepEqual(parseCompression(JSON.parse(JSON.stringify(found)), 'test'), found);
  // of another version of libzstd
  assert.equal(parseCompression({ ...found, version: '1.5.6' }, 'test'), undefined);
  for (const size of [1, 70_001, 1_000_000]) {
    if (size === 1 && input.length > 1000) continue;
    const made = await buffer(recompressed(inPieces(input, size), found));
    assert.ok(made.equals(blob), `${input.length} bytes at ${level} by ${size}`);
  }
}

describe('makes the bytes of libzstd', { skip: missing('libzstd-judge') }, () => {
  test('in the version that Node has', async () => {
    const { stdout } = await promisify(execFile)('libzstd-judge', ['--version']);
    assert.equal(stdout.trim(), process.versions.zstd);
  });

  const large = Buffer.concat([text, executable(2_500_000), noise, text]);
  for (const level of LIBZSTD_LEVELS) {
    test(`level ${level}`, async () => {
      const inputs = [large.subarray(0, 300), text, level < 13 ? large : large.subarray(0, 1_200_000)];
      for (const input of inputs) {
        await assertFound(input, level);
        await assertFound(input, level, '--checksum', '--size', String(input.length));
      }
    });
  }

  test('but no layer if the header has another size', async () => {
    const blob = await judge(text.subarray(0, 1000), '3', '--size', '1000');
    const header = blob.toString('base64', 0, headerSize(blob, 'zstd'));
    const recipe = { encoder: 'libzstd', version: process.versions.zstd, level: 3, header };
    for (const size of [999, 1001, 300_000]) {
      const made = recompressed(inPieces(text.subarray(0, size), 500), parseCompression(recipe, 'test')!);
      const layer = { digest: digestOf(blob) as Digest, size: blob.length };
      await assert.rejects(buffer(provenBlob(made, layer)), { kind: 'bad-patch' }, String(size));
    }
  });
});

async function* inPieces(input: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < input.length; at += size) yield input.subarray(at, at + size);
}

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
  const input = random.bytes(100_000);
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
