/** Caches of ldconfig in an order that lasts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auxCacheContent, auxCacheOf } from '../../../../lib/delta/formats/native/auxcache.ts';
import { buildAuxCache } from '../../../support/auxcache.ts';
import { nativePair } from '../../../support/nativepatch.ts';
import { createRandom } from '../../../support/random.ts';
import { writeTar } from '../../../support/tar.ts';

test('makes the same cache from its content, with libraries of one hash', () => {
  for (const count of [0, 1, 190, 900]) {
    const cache = buildAuxCache(count, 880_000, 1_700_000_000);
    const content = auxCacheContent(cache);
    assert.ok(content && auxCacheOf(content).equals(cache), `${count} libraries`);
  }
});

test('keeps libraries in place when all inodes move', () => {
  const [one, other] = [880_000, 1_836_000].map((inode) =>
    auxCacheContent(buildAuxCache(200, inode, 1_700_000_000))!,
  );
  assert.equal(one!.length, other!.length);
  const differing = one!.filter((byte, i) => byte !== other![i]).length;
  assert.ok(differing < 40, `${differing} bytes`);
});

test('refuses damaged caches, and contents of none', () => {
  const cache = buildAuxCache(100, 5000, 1000);
  const random = createRandom(1);
  for (let i = 0; i < 300; i++) {
    const damaged = Buffer.from(cache);
    damaged[random.below(cache.length)]! ^= 1 << random.below(8);
    const content = auxCacheContent(damaged);
    assert.ok(!content || auxCacheOf(content).equals(damaged));
  }
  assert.equal(auxCacheContent(Buffer.from('glibc-ld.so.auxcache-2.0')), undefined);
  const content = auxCacheContent(cache)!;
  for (const size of [0, 20, 33, 500, content.length - 1]) {
    assert.throws(() => auxCacheOf(content.subarray(0, size)), RangeError, `${size} bytes`);
  }
  const endless = Buffer.from(content);
  endless.writeUInt32LE(0xffffffff, 24);
  assert.throws(() => auxCacheOf(endless), RangeError);
});

test('codes a cache of another build in few bytes', async (t) => {
  const [source, target] = [880_000, 1_836_000].map((inode) =>
    writeTar([{ path: 'var/cache/ldconfig/aux-cache', content: buildAuxCache(190, inode, 1_700_000_000) }]),
  );
  const pair = await nativePair(t, [source!], [target!]);
  const patch = await pair.encode();
  assert.ok(pair.target.equals(await pair.decode(patch)));
  assert.ok(patch.length < 300, `${patch.length} bytes`);
});
