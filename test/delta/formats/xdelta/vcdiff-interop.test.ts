/** VCDIFF that xdelta3 itself writes, by its several options. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { decodeVcdiff } from '../../../../lib/delta/formats/xdelta/vcdiff/decode/decode.ts';
import { fileAccess } from '../../../../lib/delta/randomaccess.ts';
import { temporaryDirectory } from '../../../support/directory.ts';
import { missing } from '../../../support/programs.ts';
import { createRandom } from '../../../support/random.ts';

/** More than one window's worth, of which parts have moved, have changed and are new. */
function makeSides(): { readonly source: Buffer; readonly target: Buffer } {
  const random = createRandom(1);
  const source = Buffer.concat([Buffer.from(random.text(6_000_000)), random.bytes(3_000_000)]);
  const target = Buffer.concat([
    source.subarray(5_000_000),
    Buffer.from(random.text(300_000)),
    Buffer.alloc(100_000, 'run'),
    source.subarray(0, 5_000_000),
  ]);
  for (let at = 0; at < target.length; at += 50_021) target[at]! ^= 1;
  return { source, target };
}

describe('decoding a patch of xdelta3', { skip: missing('xdelta3') }, () => {
  const { source, target } = makeSides();

  async function applied(t: TestContext, options: readonly string[], hasSource = true): Promise<Buffer> {
    const directory = await temporaryDirectory(t);
    const path = (name: string) => join(directory, name);
    await writeFile(path('source'), hasSource ? source : '');
    await writeFile(path('target'), target);
    const from = hasSource ? ['-s', path('source')] : [];
    execFileSync('xdelta3', ['-e', ...options, ...from, path('target'), path('patch')]);
    await using file = await open(path('source'));
    const windows: Buffer[] = [];
    for await (const window of decodeVcdiff(createReadStream(path('patch')), await fileAccess(file)))
      windows.push(Buffer.from(window));
    return Buffer.concat(windows);
  }

  for (const options of [
    '',
    '-9 -S lzma -B 1000000000',
    '-S none -0',
    '-S lzma -W 16384',
    '-W 16777216',
    '-n -A',
  ]) {
    test(`rebuilds the target, options '${options}'`, async (t) => {
      assert.equal(Buffer.compare(await applied(t, options.split(' ').filter(Boolean)), target), 0);
    });
  }

  test('rebuilds the target without a source', async (t) => {
    assert.equal(Buffer.compare(await applied(t, [], false), target), 0);
  });

  for (const compressor of ['djw', 'fgk']) {
    test(`refuses secondary compression ${compressor}`, async (t) => {
      await assert.rejects(applied(t, ['-S', compressor]), { kind: 'bad-patch', message: /not supported/ });
    });
  }
});
