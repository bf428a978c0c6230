import { digestOf } from '../../../lib/digest.ts';

/** Alignment of two buffers and of layer streams. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createAligner } from '../../../lib/delta/align/aligner.ts';
import { EFFORTS, type Alignments, type Effort } from '../../../lib/delta/align/alignment.ts';
import { alignStreams } from '../../../lib/delta/align/alignstreams.ts';
import { AlignmentBuilder, sortAndMerge } from '../../../lib/delta/align/alignmentlist.ts';
import { alignModule } from '../../../lib/delta/align/module.ts';
import { withMoved } from '../../../lib/delta/align/moved.ts';
import { streamInFile } from '../../../lib/image/layerstream.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { createRandom } from '../../support/random.ts';
import { writeTar } from '../../support/tar.ts';

const random = createRandom(7);

function alignBuffers(source: Uint8Array, target: Uint8Array, effort: Effort = 'default'): Alignments {
  const aligner = createAligner(Math.max(source.length, target.length));
  aligner.source(source.length).set(source);
  aligner.target(target.length).set(target);
  const found = new AlignmentBuilder();
  aligner.align(effort, found);
  return found.items();
}

/** Bytes of the target that alignments make equal to the source. */
function equalBytes(source: Uint8Array, target: Uint8Array, items: Alignments): number {
  let equal = 0;
  let end = 0;
  for (let i = 0; i < items.count; i++) {
    const [t, s, length] = [items.target[i]!, items.source[i]!, items.length[i]!];
    assert.ok(t >= end && s >= 0 && s + length <= source.length, 'items ascend within both buffers');
    end = t + length;
    for (let k = 0; k < length; k++) if (source[s + k] === target[t + k]) equal++;
  }
  assert.ok(end <= target.length);
  return equal;
}

/** As a table of Elf64_Rela holds them. */
function relocations(records: readonly { readonly address: number; readonly to: number }[]): Buffer {
  const table = Buffer.alloc(24 * records.length);
  for (const [i, { address, to }] of records.entries()) {
    table.writeBigUInt64LE(BigInt(address), 24 * i);
    table.writeUInt32LE(8, 24 * i + 8);
    table.writeBigUInt64LE(BigInt(to), 24 * i + 16);
  }
  return table;
}

describe('aligning two buffers', () => {
  for (const effort of EFFORTS) {
    test(`finds moved content with single changed bytes, effort ${effort}`, () => {
      const source = random.bytes(200_000);
      const target = Buffer.concat([
        source.subarray(120_000),
        random.bytes(5_000),
        source.subarray(0, 120_000),
      ]);
      for (let i = 0; i < target.length; i += 41) target[i]! ^= 0x55;
      const items = alignBuffers(source, target, effort);
      assert.ok(equalBytes(source, target, items) > 0.97 * 200_000 * (40 / 41));
      assert.ok(items.count < 50);
    });
  }

  test('aligns a table of relocations record by record', () => {
    const records = Array.from({ length: 20_000 }, () => ({ address: 0, to: 0 }));
    let [address, to] = [0x5a0000, 0x120000];
    for (const record of records) {
      Object.assign(record, { address, to });
      address += 8 * (1 + random.below(3));
      to += random.below(4096);
    }
    const source = relocations(records);
    const kept = records.filter((_, i) => i % 5000 > 9);
    const target = relocations(
      kept.map((record) => ({ address: record.address + 0x60, to: record.to + 0x1c0 })),
    );
    let equal = 0;
    for (const [i, record] of kept.entries()) {
      const from = 24 * records.indexOf(record);
      for (let k = 0; k < 24; k++) if (source[from + k] === target[24 * i + k]) equal++;
    }
    const items = alignBuffers(source, target);
    assert.ok(equalBytes(source, target, items) > 0.99 * equal);
    assert.ok(items.count < 50);
  });

  test('terminates on zeros, repetitions and short buffers', () => {
    const zeros = new Uint8Array(3_000_000);
    const repeated = Buffer.alloc(3_000_000, 'abcdefghi');
    for (const source of [zeros, repeated, new Uint8Array(), zeros.subarray(0, 7)]) {
      for (const target of [
        zeros,
        repeated,
        Buffer.from(repeated).reverse(),
        new Uint8Array(),
        zeros.subarray(0, 9),
      ]) {
        equalBytes(source, target, alignBuffers(source, target));
      }
    }
  });

  test('gives the same alignments for the same buffers', () => {
    const source = random.bytes(50_000);
    const target = Buffer.concat([source.subarray(9), random.bytes(99), source.subarray(0, 30_000)]);
    assert.deepEqual(alignBuffers(source, target), alignBuffers(source, target));
  });
});

test('comparing by vectors gives the same results as by bytes', () => {
  const module = alignModule();
  for (let round = 0; round < 2000; round++) {
    const source = random.bytes(random.below(600));
    const shift = random.below(8);
    const target = Buffer.from(source.subarray(shift));
    for (let i = random.below(6); i > 0 && target.length > 0; i--) {
      target[random.below(target.length)]! ^= 1 << random.below(8);
    }
    const aligner = createAligner(600);
    aligner.source(source.length).set(source);
    aligner.target(target.length).set(target);
    const t = random.below(target.length + 1);
    const s = round % 2 === 0 ? random.below(source.length + 1) : Math.min(t + shift, source.length);
    const size = Math.min(source.length - s, target.length - t);
    const same = Array.from({ length: size }, (_, i) => source[s + i] === target[t + i]);
    const first = same.indexOf(false);
    assert.equal(module.common_length(source.length, s, target.length, t), first < 0 ? size : first);
    const differing = same.filter((equal) => !equal).length;
    const limit = random.below(8) || 1000;
    assert.equal(module.differing_bytes(s, t, size, limit), Math.min(differing, limit));
    assert.equal(module.extension(source.length, s, target.length, t), bestPrefix(same));
    const before = Math.min(s, t);
    const back = Array.from({ length: before }, (_, i) => source[s - 1 - i] === target[t - 1 - i]);
    assert.equal(module.extension_back(s, t), bestPrefix(back));
  }
});

/** The shortest prefix with the most equal bytes less different ones. */
function bestPrefix(same: readonly boolean[]): number {
  let [score, best, length] = [0, 0, 0];
  for (const [i, equal] of same.entries()) {
    score += equal ? 1 : -1;
    if (score <= best) continue;
    best = score;
    length = i + 1;
  }
  return length;
}

function layer(name: string, size = 50_000): Buffer {
  return writeTar([1, 2].map((i) => ({ path: `${name}/${i}`, content: random.bytes(size) })));
}

test('alignments are the same with and without diffIDs of common layers', async (t) => {
  const directory = await temporaryDirectory(t);
  const [a, b, c, d] = [
    layer('a'),
    layer('b', 5_000_000),
    layer('c'),
    Buffer.concat([layer('d'), Buffer.from('rest')]),
  ];
  const stream = async (name: string, layers: readonly Buffer[]) => {
    const path = join(directory, name);
    await writeFile(path, Buffer.concat(layers));
    const sizes = layers.map(({ length }) => length);
    return { ...streamInFile(path, sizes), diffIDs: layers.map((bytes) => digestOf(bytes)) };
  };
  const e = layer('e');
  const source = await stream('source', [a, b, d, a]);
  const target = await stream('target', [d, e, a, c, b]);
  const unnamed = ({ parts }: typeof source) => ({ parts });
  const found = await alignStreams(source, target);
  assert.deepEqual(found, await alignStreams(unnamed(source), unnamed(target)));
  // the same layers in files of their own
  const apart = async (name: string, layers: readonly Buffer[]) => ({
    parts: await Promise.all(
      layers.map(async (bytes, i) => (await stream(`${name}-${i}`, [bytes])).parts[0]!),
    ),
  });
  const [from, to] = [await apart('source', [a, b, d, a]), await apart('target', [d, e, a, c, b])];
  assert.deepEqual(found, await alignStreams(from, to));
  const covered = found.length.reduce((sum, length, i) => sum + (found.exact[i] ? length : 0), 0);
  assert.ok(covered >= a.length + b.length + d.length - 1024);
});

describe('aligning layer streams finds content', () => {
  const [a, b] = [random.bytes(700_000), random.bytes(900_000)];
  const large = random.bytes(32_000_000);
  type Files = Readonly<Record<string, Uint8Array>>;
  const cases: Readonly<Record<string, readonly [source: Files, target: Files]>> = {
    'in a file that took the place of another': [
      { a, b },
      { a: Buffer.concat([b, a.subarray(0, 1)]), b: a },
    ],
    'in a file that combines several': [{ a, b }, { bundle: Buffer.concat([b, random.bytes(99), a]) }],
    'in the middle of another file': [
      { a, b },
      { a: Buffer.concat([a.subarray(0, 300_000), b.subarray(500_000), a.subarray(600_000)]) },
    ],
    'in many small files': [
      { b },
      Object.fromEntries(
        Array.from({ length: 100 }, (_, i) => [`part${i}`, b.subarray(9000 * i, 9000 * i + 7000)]),
      ),
    ],
    'at the other end of a large file': [
      { large },
      { large: Buffer.concat([large.subarray(9_000_000), large.subarray(0, 9_000_000)]) },
    ],
    'with single changed bytes': [
      { a, b },
      { bundle: Buffer.concat([b, a]).map((byte, i) => (i % 5000 === 0 ? byte ^ 1 : byte)) },
    ],
  };
  for (const [name, sides] of Object.entries(cases)) {
    test(name, async (t) => {
      const directory = await temporaryDirectory(t);
      const [source, target] = sides.map((files) =>
        writeTar(Object.entries(files).map(([path, content]) => ({ path, content }))),
      ) as [Buffer, Buffer];
      const streams = await Promise.all(
        [source, target].map(async (bytes, i) => {
          const path = join(directory, String(i));
          await writeFile(path, bytes);
          return streamInFile(path, [bytes.length]);
        }),
      );
      const items = await alignStreams(streams[0]!, streams[1]!);
      const content = Object.values(sides[1]).reduce((sum, { length }) => sum + length, 0);
      // where a stretch begins and ends some hundred bytes may be left
      assert.ok(equalBytes(source, target, items) > 0.97 * content);
    });
  }
});

function randomAlignments(count: number): Alignments {
  const draft = new AlignmentBuilder();
  for (let i = 0; i < count; i++)
    draft.push(random.below(40) * 50, random.below(40) * 50, 1 + random.below(600), 0);
  return draft.items();
}

test('merged alignments ascend in the target and cover the same bytes', () => {
  for (const runs of [1, 2, 3, 7, 100]) {
    const draft = new AlignmentBuilder();
    for (let run = 0; run < runs; run++) {
      let target = random.below(1000);
      for (let i = 0; i < 50; i++) {
        draft.push(target, random.below(10 ** 6), 1 + random.below(30), 1);
        target += 1 + random.below(30);
      }
    }
    const covered = new Set<number>();
    for (let i = 0; i < draft.count; i++) {
      for (let k = 0; k < draft.length[i]!; k++) covered.add(draft.target[i]! + k);
    }
    const merged = sortAndMerge(draft);
    let end = 0;
    let size = 0;
    for (let i = 0; i < merged.count; i++) {
      assert.ok(merged.target[i]! >= end);
      end = merged.target[i]! + merged.length[i]!;
      size += merged.length[i]!;
    }
    assert.equal(size, covered.size);
  }
});

test('merged alignments do not depend on the thread that found them', () => {
  const first = new AlignmentBuilder();
  for (let at = 0; at < 2000; at += 400) first.push(at, random.below(3000), 1 + random.below(400), 1);
  const items = first.items();
  const [one, other] = [randomAlignments(20), randomAlignments(20)];
  const found = withMoved(items, [one, other]);
  assert.deepEqual(withMoved(items, [other, one]), found);
  for (let i = 1; i < found.count; i++)
    assert.ok(found.target[i]! >= found.target[i - 1]! + found.length[i - 1]!);
});
