/**
 * Random stacks of layers: the flattened tree is compared with umoci's. Cases in which umoci 0.4.7 (Debian) differs
 * from newer umoci, docker or containerd are left out:
 *
 * - it does not know old GNU sparse entries (type flag S);
 * - it refuses to replace a non-directory by an implied directory;
 * - it drops xattrs with an empty value;
 * - implied directories inherit setgid and group of a setgid parent from the kernel, but only in some engines;
 * - it keeps files below AUFS's own directories (/.wh..wh.plnk and so on).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PanamaxError } from '../../lib/errors.ts';
import type { EntryType } from '../../lib/image/tar/entry.ts';
import { missing, notRoot } from '../support/programs.ts';
import { scan, type Scanned } from '../support/scan.ts';
import { writeEntry, writeTar, type SparseFormat, type TarFixture, type TarFormat } from '../support/tar.ts';
import { treeOf, type TreeItem } from '../support/tree.ts';
import { unpack } from '../support/umoci.ts';

/** Few names, so that entries collide. One is not UTF-8, one needs extension headers. */
const name = fc.constantFrom('a', 'b', 'c', 'a-b', 'caf\xe9', 'long'.repeat(30));
const cleanPath = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const path = fc
  .tuple(fc.constantFrom('', '', '', './', '/', '//', 'a/../', './/./'), cleanPath)
  .map(([prefix, path]) => prefix + path);
const symlinkTarget = fc.oneof(
  cleanPath,
  cleanPath.map((path) => `/${path}`),
  fc.tuple(fc.constantFrom('../', '../../../../../', './'), cleanPath).map(([prefix, path]) => prefix + path),
  fc.constantFrom('.', '..', '/', 'nowhere'),
);

const metadata = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.constantFrom(0, 1000, 70_000, 3_000_000),
  gid: fc.constantFrom(0, 1000, 70_000, 3_000_000),
  mtime: fc.integer({ min: 0, max: 2 ** 33 }).map((quarters) => quarters / 4),
});
const xattrs = fc.dictionary(
  fc.constantFrom('user.a', 'user.b', 'user.caf\xe9'),
  fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
const content = fc.uint8Array({ maxLength: 1200 });
const devices = fc.record({
  devMajor: fc.constantFrom(0, 1, 300),
  devMinor: fc.constantFrom(0, 3, 300_000),
});

const steps = fc.array(
  fc.record({ hole: fc.integer({ min: 0, max: 5000 }), size: fc.integer({ min: 1, max: 600 }) }),
);
const sparseFile = fc
  .record({ format: fc.constantFrom<SparseFormat>('0.0', '0.1', '1.0'), steps, tail: fc.nat(3000) })
  .map(({ format, steps, tail }) => {
    const runs = [];
    let end = 0;
    for (const { hole, size } of steps) {
      runs.push({ offset: end + hole, size });
      end += hole + size;
    }
    runs.push({ offset: end + tail, size: 0 });
    return { content: Buffer.alloc(end + tail, 'sparse'), sparse: { format, runs } };
  });

/** Without setgid. */
const directoryMode = fc.integer({ min: 0, max: 0o7777 }).map((mode) => mode & 0o5777);

function entryOf(weight: number, type: EntryType, more: fc.Arbitrary<Partial<TarFixture>>) {
  const format = fc.constantFrom<TarFormat>('pax', 'gnu', 'ustar');
  const arbitrary = fc
    .tuple(path, metadata, format, more)
    .map(([path, metadata, format, more]): TarFixture => ({ path, type, format, ...metadata, ...more }));
  return { weight, arbitrary };
}

function whiteoutOf(weight: number, hidden: fc.Arbitrary<string>) {
  const directory = fc.oneof(
    fc.constant(''),
    path.map((path) => `${path}/`),
  );
  const arbitrary = fc
    .tuple(directory, hidden, fc.constantFrom<EntryType>('file', 'directory', 'char'))
    .map(([directory, hidden, type]): TarFixture => ({ path: `${directory}.wh.${hidden}`, type }));
  return { weight, arbitrary };
}

const entry: fc.Arbitrary<TarFixture> = fc.oneof(
  entryOf(5, 'file', fc.record({ content, xattrs })),
  entryOf(6, 'directory', fc.record({ xattrs, mode: directoryMode })),
  entryOf(3, 'symlink', fc.record({ linkPath: symlinkTarget })),
  entryOf(3, 'hardlink', fc.record({ linkPath: cleanPath })),
  entryOf(1, 'file', sparseFile),
  entryOf(1, 'char', devices),
  entryOf(1, 'block', devices),
  entryOf(1, 'fifo', fc.constant({})),
  whiteoutOf(3, name),
  whiteoutOf(1, fc.constant('.wh..opq')),
  whiteoutOf(1, fc.constantFrom('.wh.plnk', '.wh.aufs', '.wh.orph')),
  { weight: 1, arbitrary: directoryMode.map((mode): TarFixture => ({ path: './', mode })) },
);
const stack = fc.array(fc.array(entry, { maxLength: 15 }), { minLength: 1, maxLength: 4 });

test(
  'random layers give the tree that umoci unpacks',
  { skip: missing('umoci', 'tar') || notRoot() },
  async () => {
    const counts = { offered: 0, used: 0 };
    await fc.assert(
      fc.asyncProperty(stack, async (candidates) => {
        const { fixtures, scanned } = await acceptable(candidates);
        counts.offered += candidates.flat().length;
        counts.used += fixtures.flat().length;
        assert.deepEqual(treeOf(scanned), await unpack(fixtures.map(writeTar)));
      }),
      { numRuns: 120, seed: 2 },
    );
    assert.ok(counts.used > counts.offered / 2, JSON.stringify(counts));
  },
);

/** Drops entries that panamax refuses, and those that only umoci 0.4.7 refuses. */
async function acceptable(candidates: TarFixture[][]) {
  const fixtures: TarFixture[][] = [];
  const scanned: Scanned[][] = [];
  let tree: TreeItem[] = [];
  for (const candidate of candidates) {
    const layer: Scanned[] = [];
    scanned.push(layer);
    const used: TarFixture[] = [];
    fixtures.push(used);
    for (const fixture of candidate) {
      layer.push(...(await scan([writeEntry(fixture)])));
      const next = attempt(scanned);
      if (next && !givesWay(tree, next)) {
        tree = next;
        used.push(fixture);
      } else {
        layer.pop();
      }
    }
  }
  return { fixtures, scanned };
}

function attempt(layers: readonly Scanned[][]): TreeItem[] | undefined {
  try {
    return treeOf(layers);
  } catch (error) {
    if (error instanceof PanamaxError && error.kind === 'bad-input') return undefined;
    throw error;
  }
}

/** Whether a path that was not a directory has become one. */
function givesWay(before: readonly TreeItem[], after: readonly TreeItem[]): boolean {
  const files = before.filter(({ type }) => type !== 'directory').map(({ path }) => `${path}/`);
  return after.some(({ path }) => files.some((file) => path.startsWith(file)));
}
