/** Descriptions beyond the limits of the format `panamax` are refused: the same code reads and writes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { Alignments } from '../../../../lib/delta/align/alignment.ts';
import {
  BatchModels,
  codeBatch,
  MAX_GROUP,
  MAX_MEMBER,
  MIN_GROUP,
  type Batch,
  type FilePair,
} from '../../../../lib/delta/formats/native/batch.ts';
import { BitEncoder } from '../../../../lib/delta/formats/native/bitcoder.ts';
import {
  writeDescription,
  writeHead,
  writePatchHeader,
} from '../../../../lib/delta/formats/native/container.ts';
import { createWorkspace, GroupWorker } from '../../../../lib/delta/formats/native/group.ts';
import { MixedModels } from '../../../../lib/delta/formats/native/mixedsink.ts';
import { storeRecipe } from '../../../../lib/delta/formats/native/recipecoder.ts';
import { codeSection, SectionModels } from '../../../../lib/delta/formats/native/section.ts';
import {
  decodeSourceMembers,
  encodeSourceMembers,
  type SourceMember,
} from '../../../../lib/delta/formats/native/sourcemembers.ts';
import { MIXTURE, STREAMS } from '../../../../lib/delta/formats/native/streams.ts';
import { nativePair } from '../../../support/nativepatch.ts';

const SOURCE_SIZE = 1_000_000;
const NO_OPERATIONS = operations();
const NOTHING: Batch = { operations: NO_OPERATIONS, members: [], files: [], times: [] };

function operations(...items: (readonly [target: number, source: number, length: number])[]): Alignments {
  return {
    count: items.length,
    target: Float64Array.from(items, ([target]) => target),
    source: Float64Array.from(items, ([, source]) => source),
    length: Float64Array.from(items, ([, , length]) => length),
    exact: new Uint8Array(items.length),
  };
}

function file(changes: Partial<FilePair>): FilePair {
  const segments = [{ offset: 0, address: 0, size: 5000, memorySize: 5000, isCode: true }];
  return {
    target: 0,
    source: 0,
    size: 5000,
    sourceSize: 5000,
    segments,
    sourceSegments: segments,
    ...changes,
  };
}

function describe(batch: Partial<Batch>, sizes: readonly number[] = [100_000], most = 10 ** 9): Uint8Array {
  const coder = new BitEncoder();
  const given = { batch: { ...NOTHING, ...batch }, sizes };
  codeBatch(coder, new BatchModels(), given, { start: 0, sourceSize: SOURCE_SIZE, most }, () => []);
  return coder.finish();
}

const far = { offset: 0, address: 2 ** 31, size: 10, memorySize: 10, isCode: true };
const overlapping = [0, 50].map((offset) => ({
  offset,
  address: offset,
  size: 100,
  memorySize: 100,
  isCode: true,
}));
const lies: Record<string, () => Uint8Array> = {
  'no groups': () => describe({}, []),
  'a group of no bytes': () => describe({}, [0]),
  'a group too large': () => describe({}, [MAX_GROUP + 1]),
  'too many groups': () =>
    describe(
      {},
      Array.from({ length: 5000 }, () => MAX_GROUP),
    ),
  'a target too long': () => describe({}, [MAX_GROUP, MAX_GROUP], MAX_GROUP),
  'an operation beyond its batch': () => describe({ operations: operations([99_000, 0, 2000]) }),
  'an operation beyond the source': () => describe({ operations: operations([0, SOURCE_SIZE - 10, 11]) }),
  'an operation in front of the source': () => describe({ operations: operations([5, -1, 10]) }),
  'a member beyond its batch': () => describe({ members: [{ at: 99_999, size: 2, codec: 0 }] }),
  'a member too large': () => describe({ members: [{ at: 0, size: MAX_MEMBER + 1, codec: 0 }] }, [MAX_GROUP]),
  'an unknown codec': () => describe({ members: [{ at: 0, size: 10, codec: 200 }] }),
  'a file beyond the source': () => describe({ files: [file({ source: SOURCE_SIZE })] }),
  'a file that is too small': () => describe({ files: [file({ size: 100, sourceSize: 100 })] }),
  'a file of quite another size': () => describe({ files: [file({ sourceSize: 500_000 })] }),
  'files that overlap': () => describe({ files: [file({}), file({ target: 4000 })] }),
  'too many files': () => describe({ files: Array.from({ length: 100 }, () => file({})) }),
  'a segment out of bounds': () => describe({ files: [file({ segments: [far] })] }),
  'segments that overlap': () => describe({ files: [file({ segments: overlapping })] }),
};

test('describes a batch within the limits', () => {
  const batch = {
    files: [file({})],
    operations: operations([10, 0, 100]),
    members: [{ at: 0, size: 9, codec: 1 }],
  };
  assert.ok(describe(batch).length > 0);
});

for (const [what, describing] of Object.entries(lies)) {
  test(`refuses a batch with ${what}`, () => {
    assert.throws(describing, { kind: 'bad-patch' });
  });
}

const parts = (size: number) => Array.from({ length: STREAMS }, () => size);

test('refuses sections whose streams are too large for their groups', () => {
  const group = { parts: parts(0), operands: 0, checksum: 0 };
  const refused = (groups: (typeof group)[], stored: number[], sizes = [100]) =>
    assert.throws(
      () => codeSection(new BitEncoder(), new SectionModels(), { groups, stored }, sizes),
      { kind: 'bad-patch' },
      JSON.stringify(groups),
    );
  refused([{ ...group, parts: parts(101) }], parts(0));
  refused([{ ...group, parts: parts(99) }], parts(0));
  refused([{ ...group, operands: 201 }], parts(0));
  refused([group], parts(2000));
  refused([group, group], parts(0));
  const full = { ...group, parts: [MAX_GROUP, ...parts(0).slice(1)] };
  refused([full, full], parts(0), [MAX_GROUP, MAX_GROUP]);
});

test('refuses a mixed group with parts that are not mixed', () => {
  const space = { size: SOURCE_SIZE, read: (bytes: Uint8Array) => bytes.fill(0) };
  const batch = { ...NOTHING, operations: operations([0, 0, 100]) };
  const worker = new GroupWorker(batch, space, createWorkspace());
  const empty = Array.from({ length: STREAMS }, () => new Uint8Array());
  const place = { start: 0, size: 100 };
  const models = new MixedModels();
  assert.equal(worker.decode(place, empty, new Uint8Array(), models).length, 100);
  const refused = (parts: Uint8Array[], operands: Uint8Array) =>
    assert.throws(() => worker.decode(place, parts, operands, models), { kind: 'bad-patch' });
  refused(empty, Uint8Array.of(1));
  refused(empty.with(MIXTURE + 1, Uint8Array.of(1)), new Uint8Array());
});

test('refuses members of the source that are too large together or outside of it', () => {
  const refused = (...members: SourceMember[]) =>
    assert.throws(() => decodeSourceMembers(encodeSourceMembers(members), SOURCE_SIZE, 1000), {
      kind: 'bad-patch',
    });
  refused({ form: 0, at: SOURCE_SIZE - 10, stored: 11, size: 1 });
  refused({ form: 2, at: 0, stored: 10, size: 10 });
  refused(...Array.from({ length: 20 }, (_, i) => ({ form: 0, at: 10 * i, stored: 10, size: MAX_MEMBER })));
  assert.throws(() => encodeSourceMembers([{ form: 0, at: 0, stored: 10, size: MAX_MEMBER + 1 }]), {
    kind: 'bad-patch',
  });
});

test('refuses a small group that is not the last', async (t) => {
  const pair = await nativePair(t, [Buffer.alloc(SOURCE_SIZE)], [Buffer.alloc(2 * MIN_GROUP)]);
  const coder = new BitEncoder();
  const sizes = [1000, MIN_GROUP];
  const zeros = parts(0);
  const place = { start: 0, sourceSize: SOURCE_SIZE, most: 10 ** 9 };
  const covering = operations([0, 0, 1000], [1000, 0, MIN_GROUP]);
  codeBatch(
    coder,
    new BatchModels(),
    { batch: { ...NOTHING, operations: covering }, sizes },
    place,
    () => [],
  );
  const section = new BitEncoder();
  const groups = sizes.map((size) => ({ parts: zeros, operands: 0, checksum: crc32(Buffer.alloc(size)) }));
  codeSection(section, new SectionModels(), { groups, stored: zeros }, sizes);
  const header = writePatchHeader({
    coding: 1,
    recipe: storeRecipe(Buffer.from('{}')),
    members: new Uint8Array(),
  });
  const patch = Buffer.concat([
    header,
    writeDescription(coder.finish()),
    writeHead(section.finish()),
    writeHead(),
  ]);
  await assert.rejects(pair.decode(patch), /a group too small/);
});
