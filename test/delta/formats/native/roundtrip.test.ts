/** Patches of the format `panamax`: rebuilt targets, and sizes for known kinds of content. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { EFFORTS } from '../../../../lib/delta/align/alignment.ts';
import { ARM64, buildElf, X86_64 } from '../../../support/elf.ts';
import { gzipMember } from '../../../support/gzipmember.ts';
import { nativePair } from '../../../support/nativepatch.ts';
import { createRandom, type Random } from '../../../support/random.ts';
import { releaseLayers } from '../../../support/releases.ts';
import { writeTar, type TarFixture } from '../../../support/tar.ts';
import { writeZip } from '../../../support/zip.ts';

/** Size of a patch that was checked to rebuild its target. */
async function sizeOf(t: TestContext, source: readonly Buffer[], target: readonly Buffer[]): Promise<number> {
  const pair = await nativePair(t, source, target);
  const patch = await pair.encode();
  assert.ok(pair.target.equals(await pair.decode(patch)));
  return patch.length;
}

function edited(random: Random, bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(4000);
    parts.push(bytes.subarray(at, at + size));
    at += size + (random.below(3) === 0 ? random.below(200) : 0);
    if (random.below(3) === 0) parts.push(random.bytes(random.below(300)));
    if (random.below(3) === 0) parts.push(bytes.subarray(random.below(bytes.length)).subarray(0, 500));
  }
  return Buffer.concat(parts);
}

for (const effort of EFFORTS) {
  test(`rebuilds a target of random edits, and its source from it, with effort ${effort}`, async (t) => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = createRandom(seed);
      const source = [random.bytes(20_000), Buffer.from(random.text(60_000))];
      const target = source.map((layer) => edited(random, layer));
      for (const [from, to] of [
        [source, target],
        [target, source],
      ] as const) {
        const pair = await nativePair(t, from, to);
        const patch = await pair.encode({ effort });
        assert.ok(pair.target.equals(await pair.decode(patch)), `seed ${seed}`);
      }
    }
  });
}

test('rebuilds an empty target, and one from an empty source', async (t) => {
  const some = [createRandom(1).bytes(1000)];
  for (const [from, to] of [
    [some, []],
    [[], some],
    [[], []],
  ]) {
    const pair = await nativePair(t, from!, to!);
    assert.ok(pair.target.equals(await pair.decode(await pair.encode())));
  }
});

test('makes the same patch with any number of threads, and rebuilds from it with any', async (t) => {
  // three groups: they have 2 MiB
  const noise = writeTar([{ path: 'noise', content: createRandom(1).bytes(5e6) }]);
  const [from, to] = [releaseLayers(1, 1), releaseLayers(1, 2)];
  const pair = await nativePair(t, [from[0]!, noise, from[1]!], [to[0]!, noise, to[1]!]);
  const patch = await pair.encode({ threads: 0 });
  for (const threads of [1, 2, 4]) {
    assert.ok(patch.equals(await pair.encode({ threads })), `${threads} threads`);
    assert.ok(pair.target.equals(await pair.decode(patch, threads)), `${threads} threads`);
  }
  const best = await pair.encode({ effort: 'best', threads: 2 });
  assert.ok(best.equals(await pair.encode({ effort: 'best', threads: 0 })));
  assert.ok(best.length < patch.length);
  assert.ok(pair.target.equals(await pair.decode(best, 2)));
});

test('codes new times of many entries as one change', async (t) => {
  const random = createRandom(3);
  const contents = Array.from({ length: 200 }, () => random.bytes(700));
  const layer = (mtime: number) =>
    writeTar(contents.map((content, i): TarFixture => ({ path: `usr/lib/f${i}`, content, mtime })));
  assert.ok((await sizeOf(t, [layer(1_700_000_000)], [layer(1_712_345_678)])) < 120);
});

function gzipLayer(...contents: Uint8Array[]): Buffer {
  return writeTar(contents.map((content, i) => ({ path: `m${i}.gz`, content })));
}

test('looks into gzip members that gzip or zlib makes again', async (t) => {
  const random = createRandom(4);
  const text = random.text(60_000);
  const changed = `New entry in front\n${text.replace(/a1/g, 'a2')}`;
  const size = await sizeOf(t, [gzipLayer(gzipMember(text, 9))], [gzipLayer(gzipMember(changed, 9))]);
  assert.ok(size < gzipSync(changed, { level: 9 }).length / 20, `${size} bytes`);
});

test('keeps a large member in one group', async (t) => {
  const random = createRandom(13);
  const text = random.text(50_000).repeat(66);
  const [before, behind] = [random.bytes(300_000), random.bytes(2_000_000)];
  const layers = ['one', 'two'].map((name) =>
    writeTar([
      { path: 'before', content: before },
      { path: 'm.gz', content: gzipMember(`${name}\n${text}`, 9) },
      { path: 'behind', content: behind },
    ]),
  );
  const size = await sizeOf(t, [layers[0]!], [layers[1]!]);
  assert.ok(size < 500, `${size} bytes`);
});

test('looks into members of jars, also of a jar that another one stores', async (t) => {
  const random = createRandom(11);
  const [one, other] = [random.text(40_000), random.text(40_000)];
  const layer = (release: number) => {
    const inner = writeZip([{ name: 'A.class', content: Buffer.from(`${release}${one}`) }]);
    const content = Buffer.from(other.replace(/a1/g, `a${release}`));
    const outer = writeZip([
      { name: 'B.class', content },
      { name: 'lib/inner.jar', content: inner, isStored: true },
    ]);
    return writeTar([{ path: `app-1.${release}.jar`, content: outer }]);
  };
  const size = await sizeOf(t, [layer(2)], [layer(3)]);
  assert.ok(size < 1500, `${size} bytes`);
});

test('rebuilds archives whose directories lie', async (t) => {
  const random = createRandom(12);
  const good = writeZip([
    { name: 'a', content: Buffer.from(random.text(5000)) },
    { name: 'b', content: Buffer.from(random.text(5000)) },
  ]);
  const broken = () => {
    const copy = Buffer.from(good);
    for (let i = 0; i < 4; i++) copy[copy.length - 1 - random.below(120)] = random.below(256);
    return copy;
  };
  for (let i = 0; i < 4; i++) {
    const [source, target] = [broken(), broken()];
    await sizeOf(
      t,
      [writeTar([{ path: 'x.zip', content: source }])],
      [writeTar([{ path: 'x.zip', content: target }])],
    );
  }
});

test('keeps gzip members as they are that nothing makes again', async (t) => {
  const random = createRandom(5);
  const text = random.text(30_000);
  const damaged = Buffer.from(gzipSync(text));
  damaged[damaged.length - 5]! ^= 1;
  const twoMembers = Buffer.concat([gzipSync(text.slice(0, 9000)), gzipSync(text.slice(9000))]);
  const source = gzipLayer(gzipSync(`x${text}`), gzipSync(text));
  await sizeOf(t, [source], [gzipLayer(damaged, twoMembers)]);
});

for (const machine of [X86_64, ARM64]) {
  test(`maps addresses in executables of machine ${machine}: inserted bytes cost little of the calls across them`, async (t) => {
    const [source, target] = [0, 16].map((inserted) => {
      const content = buildElf({ seed: 6, functions: 3000, inserted, machine });
      return writeTar([{ path: 'usr/bin/x', content }]);
    });
    const size = await sizeOf(t, [source!], [target!]);
    // 8 calls, or 4 and as many addresses and branches, and a relocation of each of 3000 functions have changed
    assert.ok(size < 6000, `${size} bytes`);
  });
}

test('rebuilds damaged and lying executables', async (t) => {
  const random = createRandom(7);
  const [good, other] = [
    { functions: 300, inserted: 0 },
    { functions: 310, inserted: 24 },
  ].map((options) => [X86_64, ARM64].map((machine) => buildElf({ seed: 8, machine, ...options }))) as [
    Buffer[],
    Buffer[],
  ];
  const broken = (bytes: Buffer, from: number, to: number) => {
    const copy = Buffer.from(bytes);
    for (let i = 0; i < 4; i++) copy[from + random.below(to - from)] = random.below(256);
    return copy;
  };
  for (let i = 0; i < 24; i++) {
    // some pairs are for different machines
    const [one, two] = [good[i & 1]!, other[(i >> 2) & 1]!];
    const headers = i % 2 === 0 ? [0, 120] : [one.length - 256, one.length];
    const source = writeTar([{ path: 'bin/x', content: broken(one, headers[0]!, headers[1]!) }]);
    const target = writeTar([{ path: 'bin/x', content: i % 3 === 0 ? broken(two, 0, 120) : two }]);
    await sizeOf(t, [source], [target]);
  }
});
