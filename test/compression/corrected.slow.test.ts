/** Layers that no known encoder makes are rebuilt by corrections. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openSync, readSync } from 'node:fs';
import { describe, test } from 'node:test';
import { constants, deflateRawSync, gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { createCompressor } from '../../lib/compression/compressor.ts';
import {
  createChoiceReader,
  createChoiceWriter,
  type Choices,
} from '../../lib/compression/corrected/choices.ts';
import {
  correct,
  correctionSize,
  nearestSearch,
  type CorrectedRecipe,
} from '../../lib/compression/corrected/corrected.ts';
import type { Search } from '../../lib/compression/corrected/predictor.ts';
import { parseCompression } from '../../lib/compression/recipe.ts';
import { digestOf } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { createRandom } from '../support/random.ts';
import { recompress } from '../support/recompress.ts';

const SEARCH: Search = { key: 4, shorts: true, chain: 16, lazyChain: 8, inside: 258 };
const SMALL = 1 / 50;

async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

async function corrected(
  blob: Uint8Array,
  text: Uint8Array,
  search = SEARCH,
  pieceSize?: number,
): Promise<CorrectedRecipe> {
  const streams = { blob: () => inPieces(blob, pieceSize), text: () => inPieces(text, pieceSize) };
  const correction = await correct(streams, search, Infinity);
  assert.ok(correction);
  return { encoder: 'corrected', search, correction: Buffer.from(correction).toString('base64') };
}

function executable(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  readSync(openSync(process.execPath, 'r'), bytes, 0, size, 20_000_000);
  return bytes;
}

const random = createRandom(11);
const TEXT = Buffer.from(random.text(300_000));
const NOISE = random.bytes(200_000);
const LARGE = Buffer.concat([executable(600_000), TEXT.subarray(0, 150_000)]);

const SAMPLES: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'one byte': Buffer.from('a'),
  'five bytes': Buffer.from('aaaaa'),
  zeros: Buffer.alloc(1_000_000),
  text: TEXT,
  'noise, which is stored': NOISE,
  'text and noise': Buffer.concat([TEXT, NOISE, NOISE, TEXT]),
  'an executable': LARGE,
};

/** Programs that make streams; `isSmall` if their corrections are small. */
const PROGRAMS: readonly { readonly command: readonly [string, ...string[]]; readonly isSmall: boolean }[] = [
  ...['-1', '-6', '-9'].map((level) => ({
    command: ['libdeflate-gzip', '-c', level] as const,
    isSmall: true,
  })),
  { command: ['libdeflate-gzip', '-c', '-12'], isSmall: false },
  { command: ['gzip', '-nc', '-1'], isSmall: false },
  { command: ['pigz', '-nc', '-p4', '-6'], isSmall: true },
];

describe('rebuilds streams of real encoders', { skip: missing('libdeflate-gzip', 'gzip', 'pigz') }, () => {
  for (const [name, text] of Object.entries(SAMPLES)) {
    test(name, async () => {
      for (const { command, isSmall } of PROGRAMS) {
        const [program, ...args] = command;
        const blob = spawnSync(program, args, { input: text, maxBuffer: 2 ** 26 }).stdout;
        const search = (text === LARGE && nearestSearch(blob, text.subarray(0, 1e6))) || SEARCH;
        const recipe = await corrected(blob, text, search);
        assert.ok(recompress(recipe, text).equals(blob), command.join(' '));
        if (!isSmall || text !== LARGE) continue;
        assert.ok(
          correctionSize(recipe) < SMALL * blob.length,
          `${command.join(' ')} ${correctionSize(recipe)}`,
        );
      }
    });
  }
});

const text = fc
  .array(
    fc.oneof(
      fc.record({ kind: fc.constant('noise' as const), size: fc.nat(70_000) }),
      fc.record({ kind: fc.constant('text' as const), size: fc.nat(60_000) }),
      fc.record({ kind: fc.constant('run' as const), size: fc.nat(2000) }),
    ),
    { maxLength: 12 },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map(({ kind, size }) =>
        kind === 'run'
          ? Buffer.alloc(size, size)
          : (kind === 'noise' ? NOISE : TEXT).subarray(size % 999, size),
      ),
    ),
  );
const search: fc.Arbitrary<Search> = fc
  .record({
    key: fc.constantFrom(3, 4),
    shorts: fc.boolean(),
    chain: fc.integer({ min: 1, max: 64 }),
    lazyChain: fc.integer({ min: 1, max: 64 }),
    inside: fc.constantFrom(4, 258),
  })
  .map((search) => ({ ...search }));
const pieceSize = fc.integer({ min: 1000, max: 200_000 });

test('rebuilds any text in any members, from any chunks', async () => {
  const options = fc.record({
    level: fc.nat(9),
    strategy: fc.nat(4),
    memLevel: fc.integer({ min: 1, max: 9 }),
  });
  const members = fc.array(fc.tuple(text, options), { minLength: 1, maxLength: 3 });
  const property = fc.asyncProperty(
    members,
    search,
    pieceSize,
    pieceSize,
    async (parts, how, there, here) => {
      const blob = Buffer.concat(parts.map(([part, how]) => gzipSync(part, how)));
      const whole = Buffer.concat(parts.map(([part]) => part));
      const recipe = await corrected(blob, whole, how, there);
      assert.deepEqual(parseCompression(JSON.parse(JSON.stringify(recipe)), 'test'), recipe);
      assert.ok(recompress(recipe, whole, here).equals(blob));
    },
  );
  await fc.assert(property, { numRuns: 30 });
});

test('codes a stored block the same for any chunks of its text', async () => {
  // zlib's second block of noise ends about there; the end is repeated as a match, and split at every position
  const end = 2 * 16_384;
  const again = NOISE.subarray(end - 1000, end + 1000);
  const whole = Buffer.concat([NOISE.subarray(0, 40_000), again, TEXT.subarray(0, 40_000)]);
  const blob = gzipSync(whole);
  for (let size = end - 300; size < end; size += 20) {
    const recipe = await corrected(blob, whole, SEARCH, size);
    assert.ok(recompress(recipe, whole).equals(blob), `${size}`);
  }
});

test('keeps its format: the correction of a fixed stream has fixed bytes', async () => {
  const go = createCompressor({ encoder: 'go', level: 6, header: 'H4sIAAAAAAAA/w==' });
  const blob = Buffer.concat([go.next(TEXT), go.end()]);
  const { correction } = await corrected(blob, TEXT);
  // a change of choices, contexts or predictions invalidates the corrections in stores
  assert.equal(
    digestOf(Buffer.from(correction, 'base64')),
    'sha256:21b65df656aa566f9fdd52af53039c078295bb6d634cd65322dc58f3d0863ceb',
  );
});

test('finds no correction for streams that cannot have one', async () => {
  const blob = gzipSync(TEXT);
  const header = blob.subarray(0, 10);
  const flipped = (at: number) => {
    const copy = Buffer.from(blob);
    copy[at]! ^= 1;
    return copy;
  };
  for (const [what, bytes, content] of [
    ['nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['a header alone', header, Buffer.alloc(0)],
    ['cut off', blob.subarray(0, -1), TEXT],
    ['cut off within', blob.subarray(0, blob.length >> 1), TEXT],
    ['more behind', Buffer.concat([blob, Buffer.alloc(512)]), TEXT],
    ['another checksum', flipped(blob.length - 8), TEXT],
    ['another size', flipped(blob.length - 1), TEXT],
    ['of less text', blob, TEXT.subarray(0, -1)],
    ['of more text', blob, Buffer.concat([TEXT, Buffer.from('a')])],
    ['of another text', blob, NOISE],
    ['without gzip', deflateRawSync(TEXT), TEXT],
    ['a block of no kind', Buffer.concat([header, Buffer.from([7])]), Buffer.alloc(0)],
  ] as const) {
    const streams = { blob: () => inPieces(bytes), text: () => inPieces(content) };
    assert.equal(await correct(streams, SEARCH, Infinity), undefined, what);
  }
});

test('finds a match search for short text', () => {
  const little = Buffer.from(random.text(3000));
  assert.ok(nearestSearch(gzipSync(little, { strategy: constants.Z_RLE }), little));
});

test('gives up a correction over its limit', async () => {
  const blob = gzipSync(LARGE, { level: 1 });
  const streams = { blob: () => inPieces(blob), text: () => inPieces(LARGE) };
  const whole = await correct(streams, SEARCH, Infinity);
  assert.ok(whole);
  assert.equal(await correct(streams, SEARCH, whole.length - 1), undefined);
  assert.deepEqual(await correct(streams, SEARCH, whole.length), whole);
});

test('refuses corrections that are damaged, truncated, invented or of another text, or makes another stream', async () => {
  const blob = gzipSync(Buffer.concat([TEXT, NOISE, TEXT]), { level: 4 });
  const whole = gunzipSync(blob);
  const recipe = await corrected(blob, whole);
  const bytes = Buffer.from(recipe.correction, 'base64');
  const tried = (correction: Buffer, of = whole, how = SEARCH) => {
    try {
      return recompress(
        { encoder: 'corrected', search: how, correction: correction.toString('base64') },
        of,
      ).equals(blob);
    } catch (error) {
      assert.equal((error as { kind?: string }).kind, 'bad-patch', String(error));
      return false;
    }
  };
  assert.ok(tried(bytes));
  for (let at = 0; at < bytes.length; at += 1 + (at >> 3)) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << (at & 7);
    assert.ok(!tried(damaged), `damaged at ${at}`);
    // missing bytes are read as zeros
    if (bytes.subarray(at).some((byte) => byte !== 0))
      assert.ok(!tried(bytes.subarray(0, at)), `cut at ${at}`);
  }
  assert.ok(!tried(bytes, TEXT));
  assert.ok(!tried(bytes, Buffer.alloc(0)));
  assert.ok(!tried(bytes, whole, { ...SEARCH, chain: 1, lazyChain: 1 }));
  for (let i = 0; i < 200; i++) assert.ok(!tried(random.bytes(i * 20), whole.subarray(0, 100_000)));
});

test('refuses small corrections that expand to huge streams before they take much time', () => {
  // consecutive blocks without tokens
  const choices = createChoiceWriter();
  choices.direct(16, 10);
  for (const byte of Buffer.from('H4sIAAAAAAAA/w==', 'base64')) choices.direct(8, byte);
  for (let i = 0; i < 100_000; i++) {
    choices.bit(2, 0);
    choices.bit(3, 1);
    choices.bit(5, 1);
    choices.bit(4, 0);
  }
  const correction = Buffer.from(choices.end()).toString('base64');
  const recipe = { encoder: 'corrected', search: SEARCH, correction } as const;
  assert.throws(() => recompress(recipe, TEXT), { kind: 'bad-patch', message: /empty blocks/ });
});

function ask(choices: Choices, [kind, context, value]: readonly [number, number, number]): number {
  if (kind === 0) return choices.bit(context, value & 1);
  return kind === 1 ? choices.tree(1000, 5, value & 31) : choices.direct(21, value);
}

test('reads the choices that were written', () => {
  const kinds = fc.array(fc.tuple(fc.nat(2), fc.nat(100), fc.nat(2 ** 20)), { maxLength: 3000 });
  const property = fc.property(kinds, (asked) => {
    const writer = createChoiceWriter();
    const written = asked.map((one) => ask(writer, one));
    const reader = createChoiceReader(writer.end());
    assert.deepEqual(
      asked.map(([kind, context]) => ask(reader, [kind, context, 0])),
      written,
    );
  });
  fc.assert(property);
});

test('refuses invalid recipes', () => {
  const good = { encoder: 'corrected', search: SEARCH, correction: 'AAAA' };
  assert.deepEqual(parseCompression(good, 'test'), good);
  for (const bad of [
    { ...good, correction: 7 },
    { ...good, correction: 'A'.repeat(2 ** 22) },
    { ...good, search: undefined },
    ...Object.keys(SEARCH).map((key) => ({ ...good, search: { ...SEARCH, [key]: -1 } })),
    { ...good, search: { ...SEARCH, chain: 4097 } },
    { ...good, search: { ...SEARCH, key: 5 } },
    { ...good, search: { ...SEARCH, inside: 0.5 } },
  ]) {
    assert.throws(
      () => parseCompression(bad, 'test'),
      { kind: 'bad-input' },
      JSON.stringify(bad).slice(0, 200),
    );
  }
});
