/** The choice of operations that the format `panamax` pays for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlignmentBuilder } from '../../../../lib/delta/align/alignmentlist.ts';
import type { FilePair } from '../../../../lib/delta/formats/native/batch.ts';
import { pruned } from '../../../../lib/delta/formats/native/prune.ts';
import type { Space } from '../../../../lib/runtime/space.ts';
import { createRandom } from '../../../support/random.ts';

type Operation = readonly [target: number, source: number, length: number];

const SIZE = 100_000;

function spaceOf(bytes: Uint8Array): Space {
  return { size: bytes.length, read: (into, at) => into.set(bytes.subarray(at, at + into.length)) };
}

function chosen(
  operations: readonly Operation[],
  program = Buffer.alloc(SIZE),
  files: readonly FilePair[] = [],
): Operation[] {
  const draft = new AlignmentBuilder();
  for (const [target, source, length] of operations) draft.push(target, source, length, 0);
  const items = pruned(draft.items(), spaceOf(Buffer.alloc(SIZE)), spaceOf(program), files);
  return Array.from({ length: items.count }, (_, i) => [
    items.target[i]!,
    items.source[i]!,
    items.length[i]!,
  ]);
}

test('leaves out short operations from far away, and keeps near or longer ones', () => {
  const far = 90_000;
  assert.deepEqual(
    chosen([
      [0, 0, 1000],
      [1000, far, 20],
      [1030, 1040, 2000],
      [3030, far, 400],
      [3430, 3450, 200],
    ]),
    [
      [0, 0, 1000],
      [1030, 1040, 2000],
      [3030, far, 400],
      [3430, 3450, 200],
    ],
  );
});

test('joins operations of one distance across bytes that hardly differ there', () => {
  const operations: Operation[] = [
    [0, 0, 1000],
    [1000, 50_000, 512],
    [1512, 1512, 1000],
  ];
  const program = Buffer.alloc(SIZE);
  program.fill(1, 1100, 1103);
  assert.deepEqual(chosen(operations, program), [[0, 0, 2512]]);
});

test('keeps an operation between others of one distance where bytes differ at theirs', () => {
  const operations: Operation[] = [
    [0, 0, 1000],
    [1000, 50_000, 512],
    [1512, 1512, 1000],
  ];
  const program = Buffer.alloc(SIZE);
  createRandom(1).bytes(512).copy(program, 1000);
  const source = Buffer.alloc(SIZE);
  program.copy(source, 50_000, 1000, 1512);
  const draft = new AlignmentBuilder();
  for (const [target, from, length] of operations) draft.push(target, from, length, 0);
  const items = pruned(draft.items(), spaceOf(source), spaceOf(program), []);
  assert.equal(items.count, 3);
});

test('keeps no operations where there are none', () => {
  assert.deepEqual(chosen([]), []);
});
