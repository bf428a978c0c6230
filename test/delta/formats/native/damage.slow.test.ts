/** Damaged patches of the format `panamax` are refused, or rebuild the target all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PanamaxError } from '../../../../lib/errors.ts';
import { ARM64, buildElf } from '../../../support/elf.ts';
import { gzipMember } from '../../../support/gzipmember.ts';
import { nativePair } from '../../../support/nativepatch.ts';
import { createRandom } from '../../../support/random.ts';
import { writeTar } from '../../../support/tar.ts';

/** A layer with all kinds of content that the format knows. */
function layer(release: number): Buffer {
  const random = createRandom(9);
  const text = random.text(5000);
  return writeTar([
    { path: 'bin/x', content: buildElf({ seed: 1, functions: 60, inserted: 8 * release }), mtime: release },
    { path: 'bin/y', content: buildElf({ seed: 2, functions: 60, inserted: 8 * release, machine: ARM64 }) },
    { path: 'doc/news.gz', content: gzipMember(`${release}\n${text}`, 9), mtime: release },
    { path: 'etc/y', content: text.replaceAll('b', `${release}`), mtime: release },
    { path: 'etc/new', content: createRandom(release).text(2000), mtime: release },
  ]);
}

for (const [effort, firsts, step] of [
  ['default', 200, 7],
  ['best', 0, 19],
] as const) {
  test(`refuses patches of effort ${effort} with a changed bit, or rebuilds the target from them`, async (t) => {
    const pair = await nativePair(t, [layer(1)], [layer(2)]);
    const patch = await pair.encode({ effort });
    let [refused, tried] = [0, 0];
    for (let at = 0; at < patch.length; at += at < firsts ? 1 : step) {
      tried++;
      const damaged = Buffer.from(patch);
      damaged[at]! ^= 1 << (at % 8);
      try {
        assert.ok(pair.target.equals(await pair.decode(damaged)), `byte ${at}`);
      } catch (error) {
        assert.ok(error instanceof PanamaxError, `byte ${at}: ${(error as Error).stack}`);
        assert.ok(error.kind === 'bad-patch', `byte ${at}: ${error.stack}`);
        refused++;
      }
    }
    assert.ok(refused > 0.9 * tried, `${refused} of ${tried}`);
  });
}

test('refuses patches that end early, and those with bytes behind their end', async (t) => {
  const pair = await nativePair(t, [layer(1)], [layer(2)]);
  const patch = await pair.encode();
  for (let size = 0; size < patch.length; size += 41) {
    await assert.rejects(pair.decode(patch.subarray(0, size)), { kind: 'bad-patch' }, `${size} bytes`);
  }
  await assert.rejects(pair.decode(Buffer.concat([patch, Buffer.alloc(1)])), { kind: 'bad-patch' });
});

test('refuses random bytes behind a good header', async (t) => {
  const pair = await nativePair(t, [layer(1)], [layer(2)]);
  const patch = await pair.encode();
  const random = createRandom(10);
  for (let i = 0; i < 40; i++) {
    const kept = random.below(patch.length);
    const bytes = Buffer.concat([patch.subarray(0, kept), random.bytes(random.below(2000) + 1)]);
    await assert.rejects(pair.decode(bytes), { kind: 'bad-patch' });
  }
});
