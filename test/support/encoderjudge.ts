/** Tests that the encoders of this project make the same bytes as real ones. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { headerSize, parseCompression, type EncoderRecipe } from '../../lib/compression/recipe.ts';
import type { RealEncoder } from './encoders.ts';
import { recompress } from './recompress.ts';
import { BLOCKS, composed, LONG, SAMPLES } from './samples.ts';

/** Levels of zlib and Go that match in different ways: without and with lazy matching, and with the longest search. */
const KINDS: ReadonlySet<number> = new Set([1, 6, 9]);

/** @param skip for the suite's option; `encoders` may then be empty */
export function describeEncoders(name: string, skip: string | false, encoders: readonly RealEncoder[]): void {
  describe(`makes the bytes of ${name}`, { skip }, () => {
    for (const [name, input] of Object.entries(SAMPLES)) {
      test(name, async () => {
        for (const encoder of encoders) {
          for (const level of encoder.levels) await assertSame(encoder, level, input);
        }
      });
    }

    test('megabytes', async () => {
      for (const encoder of encoders) {
        for (const level of encoder.levels.filter(
          (level) => encoder.levels.length === 1 || KINDS.has(level),
        )) {
          await assertSame(encoder, level, LONG);
        }
      }
    });

    const blockwise = encoders.filter(({ blockSize }) => blockSize === 1024 ** 2);
    for (const [name, input] of blockwise.length > 0 ? Object.entries(BLOCKS) : []) {
      test(name, async () => {
        for (const encoder of blockwise) {
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
}

async function assertSame(encoder: RealEncoder, level: number, input: Uint8Array): Promise<void> {
  const expected = await encoder.compress(input, level);
  const { name, blockSize } = encoder;
  const format = name.includes('zstd') ? 'zstd' : 'gzip';
  // it makes no frame for empty input, but a tar is never empty
  if (format === 'zstd' && input.length === 0) return;
  const header = expected.toString('base64', 0, headerSize(expected, format));
  const recipe = parseCompression({ encoder: name, level, blockSize, header }, 'test') as EncoderRecipe;
  const made = recompress(recipe, input);
  if (made.equals(expected)) return;
  const at = made.findIndex((byte, i) => byte !== expected[i]);
  assert.fail(`${name} -${level}, ${input.length} bytes: differs at ${at}`);
}
