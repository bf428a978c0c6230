/** The encoder of libzstd's streams, which Node's zlib provides. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { headerSize, parseCompression } from '../../lib/compression/recipe.ts';
import { provenBlob, recompressed } from '../../lib/compression/recompress.ts';
import { LIBZSTD_LEVELS } from '../../lib/compression/zstd/libzstd.ts';
import type { Digest } from '../../lib/digest.ts';
import { findCompression } from '../../lib/image/compression/detect.ts';
import { piped } from '../support/encoders.ts';
import { digestOf } from '../support/layout.ts';
import { missing } from '../support/programs.ts';
import { executable, noise, text } from '../support/samples.ts';

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

  const mixed = Buffer.concat([text.subarray(0, 150_000), executable(150_000)]);
  const large = Buffer.concat([text, executable(2_000_000), noise, text]);
  /** Inputs that are larger than the window, where that is at most 2 MiB. */
  const beyond: Readonly<Record<number, Buffer>> = {
    1: large.subarray(0, 1_000_000),
    2: large.subarray(0, 1_600_000),
    3: large,
    4: large,
  };
  for (const level of LIBZSTD_LEVELS) {
    test(`level ${level}`, async () => {
      // the largest class of sizes, of which each level has other parameters, begins at 256 KiB
      for (const input of [large.subarray(0, 300), text.subarray(0, 270_000)]) {
        await assertFound(input, level);
        await assertFound(input, level, '--checksum', '--size', String(input.length));
      }
      const input = beyond[level] ?? mixed;
      await assertFound(input, level);
      // at higher levels all inputs are smaller than the window
      if (level in beyond) await assertFound(input, level, '--checksum', '--size', String(input.length));
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
