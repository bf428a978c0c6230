/** The matcher of two buffers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFFORTS } from '../lib/delta/alignment.ts';
import { alignBuffers } from '../lib/delta/match/align.ts';
import { createRandom } from './support/random.ts';

const random = createRandom(7);

/** Bytes of the target that alignments make equal to the source. */
function equalBytes(source: Uint8Array, target: Uint8Array, items: ReturnType<typeof alignBuffers>): number {
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

describe('buffers are aligned', () => {
  for (const effort of EFFORTS) {
    test(`what moved and changed in single bytes is found with effort ${effort}`, () => {
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

  test('a table of relocations is matched record by record', () => {
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

  test('zeros, repetitions and short buffers come to an end', () => {
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

  test('the same buffers give the same alignments', () => {
    const source = random.bytes(50_000);
    const target = Buffer.concat([source.subarray(9), random.bytes(99), source.subarray(0, 30_000)]);
    assert.deepEqual(alignBuffers(source, target).items(), alignBuffers(source, target).items());
  });
});
